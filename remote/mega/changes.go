package mega

import (
	"context"
	"encoding/json"
	"fmt"
	neturl "net/url"
	"strings"

	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/remote"
)

var _ remote.Changelists = (*Client)(nil)

// Changes asks what a changelist does. The server compares two whole trees for it and may take its time. A list with one
// path that no directory can hold, or that leads out of the changelist's, is refused as a whole.
func (c *Client) Changes(ctx context.Context, link string) ([]remote.Change, error) {
	if link == "" || link == "." || link == ".." { // no escape stands for these in a path
		return nil, fmt.Errorf("mega: changelist %q: %w", link, remote.ErrNotFound)
	}
	req := request{url: c.route("cl/" + neturl.PathEscape(link) + "/files-list"), want: typeJSON, slow: true}
	text, err := c.whole(ctx, c.answers, req)
	if err != nil {
		return nil, err
	}
	changes, err := parseChanges(text)
	if err != nil {
		return nil, c.failed(req.String(), fmt.Errorf("%w: %w", remote.ErrBadAnswer, err))
	}
	return changes, nil
}

// changeItem is Mega's ClFileDiff.
type changeItem struct {
	Path    string        `json:"path"`
	SHA     string        `json:"sha"`
	Action  remote.Action `json:"action"`
	OldPath string        `json:"old_path"`
}

// parseChanges reads the envelope of /cl/LINK/files-list. No path may be written, or taken away, twice.
func parseChanges(text []byte) ([]remote.Change, error) {
	var items []changeItem
	if err := openEnvelope(text, &items); err != nil {
		return nil, fmt.Errorf("files: %w", err)
	}
	changes := make([]remote.Change, 0, len(items))
	written, gone := make(map[string]bool), make(map[string]bool)
	for _, item := range items {
		change, err := item.change()
		if err != nil {
			return nil, fmt.Errorf("files: %w", err)
		}
		lost := change.OldPath
		if change.Action == remote.Deleted {
			lost = change.Path
		} else {
			if written[change.Path] {
				return nil, fmt.Errorf("files: %q is written twice", change.Path)
			}
			written[change.Path] = true
		}
		if lost != "" {
			if gone[lost] {
				return nil, fmt.Errorf("files: %q goes away twice", lost)
			}
			gone[lost] = true
		}
		changes = append(changes, change)
	}
	return changes, nil
}

func (i changeItem) change() (remote.Change, error) {
	c := remote.Change{Action: i.Action, Path: i.Path}
	if err := checkPath(i.Path); err != nil {
		return c, err
	}
	switch i.Action {
	case remote.New, remote.Modified, remote.Deleted:
	case remote.Renamed:
		c.OldPath = i.OldPath
		if err := checkPath(i.OldPath); err != nil {
			return c, fmt.Errorf("%q was renamed: %w", i.Path, err)
		}
	default:
		return c, fmt.Errorf("%q has action %.80q", i.Path, i.Action)
	}
	if i.Action == remote.Deleted && i.SHA == "" { // nobody needs it
		return c, nil
	}
	var err error
	if c.ID, err = object.Parse(i.SHA); err != nil {
		return c, fmt.Errorf("%q: %w", i.Path, err)
	}
	return c, nil
}

// checkPath refuses what is no relative path of a file that git can hold.
func checkPath(path string) error {
	for name := range strings.SplitSeq(path, "/") {
		if err := object.CheckName(name); err != nil {
			return fmt.Errorf("path %q: %w", path, err)
		}
		if strings.EqualFold(name, ".git") {
			return fmt.Errorf("path %q: no directory of a repository has a %s", path, name)
		}
	}
	return nil
}

// openEnvelope reads Mega's envelope around a list. Its list is never null: that is how a broken answer looks.
func openEnvelope[T any](text []byte, list *[]T) error {
	var env struct {
		Result  *bool  `json:"req_result"`
		Data    *[]T   `json:"data"`
		Message string `json:"err_message"`
	}
	if err := json.Unmarshal(text, &env); err != nil {
		return err
	}
	if env.Result == nil || !*env.Result {
		return fmt.Errorf("the server refused: %.200q", env.Message)
	}
	if env.Data == nil {
		return fmt.Errorf("no data: %.80q", text)
	}
	*list = *env.Data
	return nil
}
