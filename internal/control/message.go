package control

import (
	"time"

	"github.com/antares-actor/antares-actor/actors"
)

// Status is what a mount shows.
type Status struct {
	Mountpoint string     `json:"mountpoint"`
	State      string     `json:"state"`
	Commit     string     `json:"commit,omitempty"` // "" without an origin
	Since      time.Time  `json:"since"`            // when this server began to serve it
	Changelist *Changes   `json:"changelist,omitempty"`
	Inodes     int        `json:"inodes"`     // that the kernel knows
	OpenFiles  int64      `json:"open_files"` // descriptors held on upper
	Origin     OriginUsed `json:"origin"`
}

// OriginUsed is an origin's traffic.
type OriginUsed struct {
	Requests uint64 `json:"requests"`
	Bytes    uint64 `json:"bytes"`
}

// Changes is a changelist and what it does.
type Changes struct {
	Link    string   `json:"link"`
	Path    string   `json:"path,omitempty"`
	Changed []Change `json:"changed"`
}

// Change is what a changelist does to one path of the repository.
type Change struct {
	Action  string `json:"action"`
	Path    string `json:"path"`
	OldPath string `json:"old_path,omitempty"`
}

// Switched is what a switch did.
type Switched struct {
	From  string `json:"from"`
	To    string `json:"to"`
	Names int    `json:"names"`   // that show something else now
	Dirs  int    `json:"dirs"`    // whose listings were laid out anew
	Took  int64  `json:"took_us"` // in microseconds
}

type switchRequest struct {
	Rev string `json:"rev"`
}

type changelistRequest struct {
	Link string `json:"link"`
	Path string `json:"path"`
}

type failure struct {
	Error string `json:"error"`
}

func switched(did actors.Switched) Switched {
	return Switched{From: did.From.String(), To: did.To.String(), Names: did.Names, Dirs: did.Dirs, Took: did.Took.Microseconds()}
}

func statusOf(m Mount) Status {
	stats := m.Stats()
	s := Status{
		Mountpoint: m.Mountpoint(), State: stats.State.String(), Since: stats.Since, Inodes: stats.Inodes, OpenFiles: stats.OpenFiles,
		Origin: OriginUsed{Requests: stats.Origin.Requests, Bytes: stats.Origin.Bytes},
	}
	if id := m.Commit(); !id.IsZero() {
		s.Commit = id.String()
	}
	if cl, changed := m.Changelist(); cl.Link != "" {
		s.Changelist = &Changes{Link: cl.Link, Path: cl.Path, Changed: []Change{}}
		for _, c := range changed {
			s.Changelist.Changed = append(s.Changelist.Changed, Change{Action: string(c.Action), Path: c.Path, OldPath: c.OldPath})
		}
	}
	return s
}
