package keeper

import (
	"strings"
	"testing"
)

func TestMessages(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]message{
		"":                                   {},
		"READY=1\nSTATUS=a=b\nMAINPID=12":    {ready: true, hello: true},
		"READY=0\nX_UNKNOWN=1\nnothing\n":    {},
		"FDSTORE=1\nFDNAME=fuse":             {store: true, name: "fuse"},
		"FDSTOREREMOVE=1\nFDNAME=fuse\n":     {remove: true, name: "fuse"},
		"STOPPING=1\nANTARES_EXIT=3":         {stopping: true, exits: true, status: 3},
		"ANTARES_EXIT=0":                     {exits: true},
		"ANTARES_EXIT=-1":                    {},
		"WATCHDOG=1\nANTARES_ORDER=HANDOVER": {alive: true, order: Handover},
	} {
		if got := parse([]byte(text)); got != want {
			t.Errorf("%q: %+v, want %+v", text, got, want)
		}
	}
	for name, good := range map[string]bool{"fuse": true, "": false, "a:b": false, "a\nb": false, "a b": false, strings.Repeat("n", 256): false} {
		if err := checkName(name); (err == nil) != good {
			t.Errorf("name %q: %v", name, err)
		}
	}
}

// What an engine sends may be anything.
func FuzzMessages(f *testing.F) {
	f.Add([]byte("READY=1\nFDNAME=x"))
	f.Add([]byte("ANTARES_EXIT=99999999999999999999"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if m := parse(text); m.exits && (m.status < 0 || m.status > 255) {
			t.Errorf("status %d", m.status)
		}
		if n, err := numbers(string(text), 3); err == nil && len(n) != 3 {
			t.Errorf("%d numbers", len(n))
		}
	})
}
