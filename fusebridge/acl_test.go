package fusebridge

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// accessList is "u::rw-,u:7:r--,g::r--,m::r--,o::---" as setfattr takes it.
const accessList = "0x0200000001000600ffffffff020004000700000004000400ffffffff10000400ffffffff20000000ffffffff"

func TestACLs(t *testing.T) {
	l := newLab(t, slog.LevelInfo, nil)
	l.want("umask 027; touch f; mkdir d; stat -c %a f d", "640\n750")
	l.want("setfattr -n system.posix_acl_access -v "+accessList+" README.md && stat -c %a README.md", "640")
	l.want("getfattr -e hex -n system.posix_acl_access README.md | grep = | cut -d= -f2", accessList)
	l.want("umask 077; setfattr -n system.posix_acl_default -v "+accessList+" d && touch d/f && stat -c %a d/f", "640")
}

// An upper file system without ACLs: the kernel is not told of any, and applies the umask itself.
func TestNoACLs(t *testing.T) {
	l := newLab(t, slog.LevelInfo, func(r *raw) fuse.RawFileSystem {
		r.acls = false
		return r
	})
	l.want("umask 027; touch f; mkdir d; stat -c %a f d", "640\n750")
	for _, script := range []string{
		"setfattr -n system.posix_acl_access -v " + accessList + " README.md", "setfattr -n system.posix_acl_default -v " + accessList + " d",
		"setfattr -x system.posix_acl_access f", "getfattr -n system.posix_acl_access f",
	} {
		if said, ok := l.sh(script); ok || !strings.HasSuffix(said, "Operation not supported") {
			t.Errorf("%s says %q", script, said)
		}
	}
	l.want("setpriv --reuid 7 --regid 7 --clear-groups cat README.md", "# corpus")
}
