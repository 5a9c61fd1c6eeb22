package actors

import (
	"bufio"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// identity is what the kernel does not say of a caller in its requests. It is asked for in rare cases only: what becomes of
// set-uid and set-gid. Through an idmapped mount of the mount, which nothing tells us, the ids are other ones; what is decided by
// them must be such that a mistake leaves nobody more than he should have.
type identity struct {
	uid    uint32
	groups []uint32 // all of them; those of file system accesses, as uid
	caps   uint64   // effective, and over the whole machine
}

// identity reads it from /proc; false if the caller cannot be seen.
func (c Caller) identity() (id identity, ok bool) {
	if c.PID == 0 {
		return id, false
	}
	proc := "/proc/" + strconv.FormatUint(uint64(c.PID), 10)
	f, err := os.Open(proc + "/status")
	if err != nil {
		return id, false
	}
	defer func() { _ = f.Close() }()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		key, value, _ := strings.Cut(lines.Text(), ":")
		switch key {
		case "Uid", "Gid": // real, effective, saved, of file system accesses
			ids := parseIDs(value)
			if len(ids) != 4 {
				return id, false
			}
			if key == "Uid" {
				id.uid = ids[3]
			} else {
				id.groups = ids[3:]
			}
		case "Groups":
			id.groups = append(id.groups, parseIDs(value)...)
		case "CapEff":
			if sameUserNamespace(proc) {
				id.caps, _ = strconv.ParseUint(strings.TrimSpace(value), 16, 64)
			}
		}
	}
	return id, len(id.groups) > 0
}

func parseIDs(text string) (ids []uint32) {
	for _, field := range strings.Fields(text) {
		if id, err := strconv.ParseUint(field, 10, 32); err == nil {
			ids = append(ids, uint32(id))
		}
	}
	return ids
}

// sameUserNamespace tells whether a process has its capabilities where we have ours.
func sameUserNamespace(proc string) bool {
	theirs, err := os.Readlink(proc + "/ns/user")
	if err != nil {
		return false
	}
	ours, err := os.Readlink("/proc/self/ns/user")
	return err == nil && theirs == ours
}

func (id *identity) capable(bits ...uint) bool {
	return slices.ContainsFunc(bits, func(bit uint) bool { return id.caps&(1<<bit) != 0 })
}

// member tells whether the caller may keep a file of this group set-gid. Who cannot be seen may not.
func (c Caller) member(gid uint32) bool {
	id, ok := c.identity()
	return ok && (slices.Contains(id.groups, ShownID(c.GIDs, gid)) || id.capable(unix.CAP_FSETID))
}

// maySetID tells whether what the caller writes leaves set-uid and set-gid on. Who cannot be seen takes them off.
func (c Caller) maySetID() bool {
	id, ok := c.identity()
	return ok && id.capable(unix.CAP_FSETID)
}

// seesTrusted tells whether extended attributes of the name space "trusted" are listed to the caller. To who cannot be seen they
// are not.
func (c Caller) seesTrusted() bool {
	id, ok := c.identity()
	return ok && id.capable(unix.CAP_SYS_ADMIN)
}

// mayWrite tells whether the caller could have opened the file for writing, or may change its mode. With an access control
// list, whoever is not its owner is taken at the most that the list can give. Who cannot be seen may.
func (c Caller) mayWrite(st *unix.Stat_t, listed bool) bool {
	id, ok := c.identity()
	switch {
	case !ok || id.uid == ShownID(c.UIDs, st.Uid) || id.capable(unix.CAP_DAC_OVERRIDE, unix.CAP_FOWNER):
		return true
	case listed:
		return st.Mode&0o022 != 0
	case slices.Contains(id.groups, ShownID(c.GIDs, st.Gid)):
		return st.Mode&0o020 != 0
	}
	return st.Mode&0o002 != 0
}
