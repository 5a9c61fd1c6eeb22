package mega

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/remote"
)

// maxHeadMoves is how often Pin starts anew because the head moved while it was reading the root.
const maxHeadMoves = 5

// Pin resolves a commit id or a tag; "" is the head. The API knows no other names. The head is looked at twice, with its root
// tree each time: see sight. Where the commit is the head that was pinned last, that is one request.
func (c *Client) Pin(ctx context.Context, rev string) (remote.Commit, error) {
	known := c.pinned.Load()
	if rev == "" && known == nil {
		return c.pinHead(ctx)
	}
	var at remote.Commit
	var head sight
	var err, errHead error
	name := func() { at, err = c.named(ctx, rev) }
	if known == nil {
		together(name, func() { head, errHead = c.look(ctx) })
	} else if name(); err == nil && at.ID == known.ID {
		return *known, nil
	}
	if err := cmp.Or(err, errHead); err != nil {
		return remote.Commit{}, err
	}
	if rev == "" {
		return c.pinHead(ctx)
	}
	if known != nil {
		if head, err = c.look(ctx); err != nil {
			return remote.Commit{}, err
		}
	}
	if head.commit.ID == at.ID {
		again, err := c.look(ctx)
		if err != nil {
			return remote.Commit{}, err
		}
		if again.same(head) {
			return c.settle(head), nil
		}
	}
	payload, err := c.rootElsewhere(ctx, at, modesOf(head.root))
	if err != nil {
		return remote.Commit{}, err
	}
	return withRoot(at, payload), nil
}

// named asks which commit a revision is, without Tree and Root, and refuses what is not what it says.
func (c *Client) named(ctx context.Context, rev string) (remote.Commit, error) {
	at, err := c.latest(ctx, rev)
	if err != nil && rev != "" {
		return remote.Commit{}, c.unknownRev(ctx, rev, err)
	}
	if id, bad := object.Parse(rev); err == nil && bad == nil && id != at.ID {
		return remote.Commit{}, fmt.Errorf("mega: %s: revision %q: %w: it named commit %s", c, rev, remote.ErrBadAnswer, at.ID)
	}
	return at, err
}

// sight is the head and the head's root tree, asked for at the same time. The head may have moved between the two. But if a
// second look, begun when the first had ended, sees the same, they belong together: the commit was the head from one look to
// the other, and of the two times that the tree was read one at least lies in between, or else the head's tree went away and
// came back within that time.
type sight struct {
	commit remote.Commit
	root   []byte
}

func (s sight) same(o sight) bool { return s.commit.ID == o.commit.ID && bytes.Equal(s.root, o.root) }

func (c *Client) look(ctx context.Context) (s sight, err error) {
	var errHead, errRoot error
	together(func() { s.commit, errHead = c.latest(ctx, "") }, func() { s.root, errRoot = c.rootTree(ctx) })
	return s, cmp.Or(errHead, errRoot)
}

func together(a, b func()) {
	var wg sync.WaitGroup
	wg.Go(a)
	b()
	wg.Wait()
}

// pinHead looks until two looks see the same.
func (c *Client) pinHead(ctx context.Context) (remote.Commit, error) {
	head, err := c.look(ctx)
	for range maxHeadMoves {
		if err != nil {
			return remote.Commit{}, err
		}
		var again sight
		if again, err = c.look(ctx); err == nil && again.same(head) {
			return c.settle(head), nil
		}
		head = again
	}
	return remote.Commit{}, fmt.Errorf("mega: %s: %w: the head moved %d times while it was read", c, remote.ErrUnavailable, maxHeadMoves)
}

// settle makes a commit of what was seen, and keeps it: what a commit has never changes.
func (c *Client) settle(head sight) remote.Commit {
	commit := withRoot(head.commit, head.root)
	c.pinned.Store(&commit)
	return commit
}

// rootElsewhere rebuilds the root of a commit that is not the head. Nothing tells its id: the modes are the head's for
// the same names, and by content for the others.
func (c *Client) rootElsewhere(ctx context.Context, at remote.Commit, hints map[string]object.Mode) ([]byte, error) {
	entries, err := c.unproved(ctx, at.ID, "")
	if err != nil {
		return nil, err
	}
	s := newSearch(object.ID{}, entries)
	unknown := s.hint(hints)
	if err := c.sniff(ctx, s, unknown); err != nil {
		return nil, fmt.Errorf("mega: %s: root of %s: %w", c, at.ID, err)
	}
	c.log.WarnContext(ctx, "the root's modes are a guess: the commit is not the server's head",
		"commit", at.ID, "guessed", len(unknown), "from_head", len(s.files)-len(unknown))
	return s.payload, nil
}

func withRoot(at remote.Commit, payload []byte) remote.Commit {
	at.Tree, at.Root = object.Sum(object.Tree, payload), payload
	return at
}

// latest asks which commit a name stands for; the answer has neither Tree nor Root.
func (c *Client) latest(ctx context.Context, rev string) (remote.Commit, error) {
	query := []string{"path", "/"}
	if rev != "" {
		query = append(query, "refs", rev)
	}
	url := c.route("latest-commit", query...)
	text, err := c.fetch(ctx, url, typeJSON)
	if err != nil {
		return remote.Commit{}, err
	}
	var answer struct {
		OID  string          `json:"oid"`
		Date json.RawMessage `json:"date"`
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return remote.Commit{}, c.failed("GET "+redact(url), fmt.Errorf("%w: %w", remote.ErrBadAnswer, err))
	}
	id, err := object.Parse(answer.OID)
	if err != nil {
		return remote.Commit{}, c.failed("GET "+redact(url), fmt.Errorf("%w: %w", remote.ErrBadAnswer, err))
	}
	when, ok := parseDate(answer.Date)
	if !ok {
		c.log.WarnContext(ctx, "unreadable commit date: files show 1970", "url", redact(url), "date", string(answer.Date))
	}
	return remote.Commit{ID: id, Time: when}, nil
}

// parseDate reads unix seconds, as text (Mega's form) or a number, or an RFC 3339 time; else it is the epoch and false.
func parseDate(raw json.RawMessage) (time.Time, bool) {
	text := strings.Trim(string(raw), `" `)
	if sec, err := strconv.ParseInt(text, 10, 64); err == nil {
		return time.Unix(sec, 0).UTC(), true
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t.UTC().Truncate(time.Second), true
	}
	return time.Unix(0, 0).UTC(), false
}

// unknownRev tells an unknown name from a server in trouble, since Mega answers 500 to both: if the head can be had, it
// is the name.
func (c *Client) unknownRev(ctx context.Context, rev string, err error) error {
	status, ok := errors.AsType[*statusError](err)
	if !ok || (status.status != 500 && status.status != 404) {
		return err
	}
	if _, headErr := c.latest(ctx, ""); headErr != nil {
		return err
	}
	return fmt.Errorf("mega: %s: %w: %q: name a commit of 40 hex digits or a tag", c, remote.ErrUnknownRev, rev)
}
