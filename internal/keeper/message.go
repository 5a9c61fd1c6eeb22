package keeper

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Names of stored descriptors that the keeper itself knows.
const (
	// FuseName is the kernel's end of the mount. An engine that dies is started again only if it was stored and lives.
	FuseName = "fuse"
)

// Order is what a keeper asks of its engine.
type Order string

// Handover asks the engine to finish what it has read and to end, so that another one takes over.
const Handover Order = "HANDOVER"

// Refused tells the engine that it goes on, since no other one could take over. Behind it stands why.
const Refused = "REFUSED "

// goOrder has an engine that stands by take over. Behind it stands since when nobody answers, in Unix nanoseconds.
const goOrder = "GO "

// message is one datagram: lines of NAME=value, as in sd_notify(3). Names with ANTARES are ours.
type message struct {
	ready    bool
	alive    bool
	stopping bool
	hello    bool // from a new engine, when it can take signals
	store    bool
	remove   bool
	name     string // of what is stored or removed
	exits    bool   // it is about to end, on purpose, with status
	status   int
	order    Order
	session  string // what a new engine says of the sessions that it understands
	standby  bool   // it could take over now
}

var separator = []byte{'\n'}

// parse reads a message. What it does not know it passes over, as systemd does.
func parse(b []byte) (m message) {
	for len(b) > 0 {
		var line []byte
		line, b, _ = bytes.Cut(b, separator)
		name, value, _ := bytes.Cut(line, []byte{'='})
		switch string(name) {
		case "READY":
			m.ready = isOne(value)
		case "WATCHDOG":
			m.alive = isOne(value)
		case "STOPPING":
			m.stopping = isOne(value)
		case "MAINPID":
			m.hello = true
		case "FDSTORE":
			m.store = isOne(value)
		case "FDSTOREREMOVE":
			m.remove = isOne(value)
		case "FDNAME":
			m.name = string(value)
		case "ANTARES_EXIT":
			n, err := strconv.ParseUint(string(value), 10, 8)
			m.exits, m.status = err == nil, int(n)
		case "ANTARES_ORDER":
			m.order = Order(value)
		case "ANTARES_SESSION":
			m.session = string(value)
		case "ANTARES_STANDBY":
			m.standby = isOne(value)
		}
	}
	return m
}

func isOne(value []byte) bool { return len(value) == 1 && value[0] == '1' }

var errName = errors.New("not a name for a descriptor")

// checkName tells whether systemd would take the name, and whether LISTEN_FDNAMES can have it.
func checkName(name string) error {
	bad := func(r rune) bool { return r <= ' ' || r > '~' || r == ':' }
	if name == "" || len(name) > 255 || strings.ContainsFunc(name, bad) {
		return fmt.Errorf("%w: %q", errName, name)
	}
	return nil
}
