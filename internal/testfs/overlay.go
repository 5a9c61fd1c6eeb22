package testfs

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Checkout writes a commit's tree to a new directory, every time in it being the commit's, and returns the directory.
func (l *Lab) Checkout(repo, rev string) string {
	l.t.Helper()
	dir := l.Mkdir(fmt.Sprintf("checkout%d", l.number()))
	l.Shell(dir, fmt.Sprintf("git -c safe.directory='*' -C '%s' -c tar.umask=0022 archive --format=tar '%s' | tar -x --numeric-owner --no-same-owner -p", repo, rev))
	at := l.Shell(dir, fmt.Sprintf("git -c safe.directory='*' -C '%s' log -1 --format=%%ct '%s'", repo, rev))
	l.Shell(dir, "find . -print0 | xargs -0 touch -h -d @"+at)
	return dir
}

// Restricted makes a directory a mount without set-id programs and devices, as ours are, until the test ends.
func (l *Lab) Restricted(dir string) string {
	l.t.Helper()
	err := unix.Mount(dir, dir, "", unix.MS_BIND, "")
	if err == nil {
		l.t.Cleanup(func() {
			if err := Unmount(dir); err != nil {
				l.t.Errorf("umount %s: %v", dir, err)
			}
		})
		err = unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_NOSUID|unix.MS_NODEV, "")
	}
	if err != nil {
		l.t.Fatalf("bind mount %s: %v", dir, err)
	}
	return dir
}

// KernelOverlay calls look with a mountpoint where the kernel's own overlay file system shows upper, which our mount has
// left, over lower.
func (l *Lab) KernelOverlay(lower, upper string, look func(point string)) {
	l.t.Helper()
	l.overlay(lower, upper, "redirect_dir=follow", unix.MS_RDONLY, look)
}

// WritableKernelOverlay calls change with a mountpoint where the kernel's own overlay file system may change upper, and
// renames directories as we do.
func (l *Lab) WritableKernelOverlay(lower, upper string, change func(point string)) {
	l.t.Helper()
	l.overlay(lower, upper, "redirect_dir=on,xino=auto", 0, change)
}

func (l *Lab) overlay(lower, upper, options string, flags uintptr, use func(point string)) {
	l.t.Helper()
	n := l.number()
	point, work := l.Mkdir(fmt.Sprintf("overlay%d", n)), l.Mkdir(fmt.Sprintf("overlay%d.work", n))
	data := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s,%s", lower, upper, work, options)
	if err := unix.Mount("overlay", point, "overlay", flags|unix.MS_NOSUID|unix.MS_NODEV, data); err != nil {
		l.t.Fatalf("mount overlay: %v", err)
	}
	defer func() {
		if err := Unmount(point); err != nil {
			l.t.Errorf("umount overlay: %v", err)
		}
	}()
	use(point)
}

// Overlay mounts the kernel's own overlay file system over lower, with an upper of its own, until the end of the test, and
// returns the mountpoint.
func (l *Lab) Overlay(lower string) string {
	l.t.Helper()
	n := l.number()
	point, upper, work := l.Mkdir(fmt.Sprintf("overlay%d", n)), l.Mkdir(fmt.Sprintf("overlay%d.upper", n)), l.Mkdir(fmt.Sprintf("overlay%d.work", n))
	data := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s,redirect_dir=on", lower, upper, work)
	if err := unix.Mount("overlay", point, "overlay", 0, data); err != nil {
		l.t.Fatalf("mount overlay: %v", err)
	}
	l.t.Cleanup(func() {
		if err := Unmount(point); err != nil {
			l.t.Errorf("umount overlay: %v", err)
		}
	})
	return point
}
