package mega

import (
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"time"

	"github.com/antares-actor/antares-actor/remote"
)

// maxErrorBody is how many bytes of an error's body are read, for its message and so that the connection can be used again.
const maxErrorBody = 4 << 10

// statusError is an answer other than 200.
type statusError struct {
	status  int
	message string        // the server's own words
	told    bool          // the API itself answered, not something in front of it
	wait    time.Duration // Retry-After, 0 when not given
	kind    error         // the remote error it stands for
}

func (e *statusError) Error() string {
	text := fmt.Sprintf("%d %s", e.status, http.StatusText(e.status))
	if e.message != "" {
		text += fmt.Sprintf(" (%.200q)", e.message)
	}
	return text
}

func (e *statusError) Unwrap() error { return e.kind }

// alive tells whether the answer shows a server that works, however little it liked this request. Mega answers 500 in its
// envelope to what it cannot find in many routes, and whoever says when to come again is no outage either.
func (e *statusError) alive() bool {
	return e.status < 500 || e.told && e.status == http.StatusInternalServerError
}

// check refuses answers that are not what was asked for.
func check(resp *http.Response, b *body, want string) error {
	got, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if resp.StatusCode != http.StatusOK {
		return statusOf(resp, b, got)
	}
	if coding := resp.Header.Get("Content-Encoding"); coding != "" && coding != "identity" {
		return fmt.Errorf("%w: encoded as %.80q, which was not asked for", remote.ErrBadAnswer, coding)
	}
	if got != want && want != typeAny && (want != typeLFS || got != typeJSON) {
		return fmt.Errorf("%w: %s where %s belongs: is this a Mega server?", remote.ErrBadAnswer, orNone(got), want)
	}
	return nil
}

// statusOf reads an error answer: what it says, and which remote error it is.
func statusOf(resp *http.Response, b *body, contentType string) error {
	e := &statusError{status: resp.StatusCode, kind: remote.ErrBadAnswer}
	text, _ := io.ReadAll(io.LimitReader(b, maxErrorBody)) // an unreadable message is no message
	var env struct {
		Result  *bool  `json:"req_result"`
		Message string `json:"err_message"`
		LFS     string `json:"message"`
	}
	if (contentType == typeJSON || contentType == typeLFS) && json.Unmarshal(text, &env) == nil {
		switch {
		case env.Result != nil && !*env.Result:
			e.told, e.message = true, env.Message
		case contentType == typeLFS && env.LFS != "":
			e.told, e.message = true, env.LFS
		}
	}
	switch {
	case resp.StatusCode >= 500, resp.StatusCode == http.StatusTooManyRequests:
		e.kind = remote.ErrUnavailable
		e.wait = retryAfter(resp.Header.Get("Retry-After"), time.Now())
	case resp.StatusCode == http.StatusNotFound && e.told:
		e.kind = remote.ErrNotFound
	}
	return e
}

// retryAfter reads both forms of the header, seconds and a date.
func retryAfter(text string, now time.Time) time.Duration {
	const most = 365 * 24 * time.Hour // more would overflow, here or in askedToWait
	if sec, err := strconv.Atoi(text); err == nil {
		return time.Duration(max(0, min(sec, int(most/time.Second)))) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, min(at.Sub(now), most))
	}
	return 0
}

func orNone(s string) string {
	if s == "" {
		return "no content type"
	}
	return s
}
