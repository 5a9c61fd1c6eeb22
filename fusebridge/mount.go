package fusebridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/actors"
)

// Check implements actors.Bridge: the mountpoint must be a directory, and unless the mount may hide something, an empty one
// that nothing is mounted on.
func (b *Bridge) Check(mountpoint string, over bool) error {
	cleared, err := ClearDead(mountpoint)
	if cleared || err != nil {
		b.log.Info("took a dead mount away", slog.String("on", mountpoint), slog.Any("error", err))
	}
	mounted, err := Find(mountpoint)
	if err == nil && (!over || dead(mountpoint)) {
		remedy := "choose another mountpoint, or unmount it"
		if dead(mountpoint) {
			remedy = "its file system is dead: run umount " + mountpoint
		}
		return fmt.Errorf("%w: %s: already mounted (%s): %s", actors.ErrMount, mountpoint, mounted.Source, remedy)
	}
	info, err := os.Stat(mountpoint)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("%w: mountpoint %s does not exist: make the directory first", actors.ErrMount, mountpoint)
	case err != nil:
		return fmt.Errorf("%w: mountpoint: %w", actors.ErrMount, err)
	case !info.IsDir():
		return fmt.Errorf("%w: mountpoint %s is not a directory: choose an empty directory", actors.ErrMount, mountpoint)
	case over:
		return nil
	}
	entries, err := os.ReadDir(mountpoint)
	if err != nil {
		return fmt.Errorf("%w: mountpoint: %w", actors.ErrMount, err)
	}
	if len(entries) > 0 {
		return fmt.Errorf("%w: mountpoint %s is not empty: choose an empty directory", actors.ErrMount, mountpoint)
	}
	return nil
}

// ClearDead takes mounts of ours away whose servers are dead. It tells whether there was one.
func ClearDead(mountpoint string) (cleared bool, err error) {
	for {
		m, err := Find(mountpoint)
		if err != nil || m.Type != MountType || !dead(mountpoint) {
			return cleared, nil
		}
		if err := Unmount(mountpoint); err != nil {
			if err := Detach(mountpoint); err != nil {
				return cleared, fmt.Errorf("%w: detach %s: %w", actors.ErrMount, mountpoint, err)
			}
		}
		cleared = true
	}
}

// dead tells whether a mount has no server. It asks for what the kernel does not keep: the root's attributes it may well know.
func dead(mountpoint string) bool {
	var st unix.Statfs_t
	return errors.Is(unix.Statfs(mountpoint, &st), unix.ENOTCONN)
}

// mount makes the mount and returns the descriptor to serve it by.
func mount(ctx context.Context, opts actors.AttachOptions) (int, error) {
	if os.Geteuid() == 0 {
		return mountDirect(opts)
	}
	return mountByHelper(ctx, opts)
}

func mountDirect(opts actors.AttachOptions) (int, error) {
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("%w: open /dev/fuse: %w: load the fuse module, or give the container the device", actors.ErrMount, err)
	}
	data := fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions,max_read=%d", fd, maxWrite)
	if err := unix.Mount(opts.FsName, opts.Mountpoint, MountType, mountFlags(opts.Kernel), data); err != nil {
		_ = unix.Close(fd)
		return -1, fmt.Errorf("%w: mount %s: %w", actors.ErrMount, opts.Mountpoint, err)
	}
	return fd, nil
}

// mountFlags gives the options as mount(2) takes them.
func mountFlags(o actors.KernelOptions) (flags uintptr) {
	for _, row := range kernelOptions(o) {
		if row.on {
			flags |= row.flag
		}
	}
	return flags
}

type kernelOption struct {
	on   bool
	flag uintptr
	name string // as fusermount3 takes it; "": root only
}

func kernelOptions(o actors.KernelOptions) []kernelOption {
	return []kernelOption{
		{o.ReadOnly, unix.MS_RDONLY, "ro"}, {o.NoExec, unix.MS_NOEXEC, "noexec"},
		{!o.Suid, unix.MS_NOSUID, "nosuid"}, {!o.Dev, unix.MS_NODEV, "nodev"},
		{o.Suid, 0, "suid"}, {o.Dev, 0, "dev"},
		{o.NoAccessTimes, unix.MS_NOATIME, ""}, {o.StrictAccessTimes, unix.MS_STRICTATIME, ""},
	}
}

// Remount changes the options of a mount of ours, for root. What access times upper keeps stays as it was mounted.
func Remount(mountpoint string, o actors.KernelOptions) error {
	if err := unix.Mount("", mountpoint, "", unix.MS_REMOUNT|mountFlags(o), ""); err != nil {
		return fmt.Errorf("%w: remount %s: %w", actors.ErrMount, mountpoint, err)
	}
	return nil
}

// mountByHelper has fusermount3 mount, and receives the descriptor over a socket (its protocol: _FUSE_COMMFD).
func mountByHelper(ctx context.Context, opts actors.AttachOptions) (int, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("%w: socketpair: %w", actors.ErrMount, err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "fusermount"), os.NewFile(uintptr(pair[1]), "fusermount")
	defer func() { _ = ours.Close() }()
	options := fmt.Sprintf("fsname=%s,subtype=%s,default_permissions,max_read=%d", opts.FsName, fsType, maxWrite)
	for _, row := range kernelOptions(opts.Kernel) {
		if row.on && row.name != "" {
			options += "," + row.name
		}
	}
	cmd := exec.CommandContext(ctx, "fusermount3", "-o", options, "--", opts.Mountpoint)
	cmd.Env = append(os.Environ(), "_FUSE_COMMFD=3")
	cmd.ExtraFiles = []*os.File{theirs}
	out, err := cmd.CombinedOutput()
	_ = theirs.Close()
	if errors.Is(err, exec.ErrNotFound) {
		return -1, fmt.Errorf("%w: fusermount3 is not installed: install the package fuse3, or run as root", actors.ErrMount)
	}
	if err != nil {
		return -1, fmt.Errorf("%w: %s: %s", actors.ErrMount, opts.Mountpoint, oneLine(out, err))
	}
	return receiveFd(pair[0])
}

func receiveFd(socket int) (int, error) {
	oob := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(socket, make([]byte, 1), oob, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("%w: fusermount3 sent nothing: %w", actors.ErrMount, err)
	}
	msgs, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil || len(msgs) != 1 {
		return -1, fmt.Errorf("%w: fusermount3 sent no descriptor", actors.ErrMount)
	}
	fds, err := unix.ParseUnixRights(&msgs[0])
	if err != nil || len(fds) != 1 {
		return -1, fmt.Errorf("%w: fusermount3 sent no descriptor", actors.ErrMount)
	}
	return fds[0], nil
}

// Unmount takes a mount away, cleanly: ErrBusy names who holds it. A mountpoint that is not mounted is ErrUnmounted.
func Unmount(mountpoint string) error {
	if _, err := Find(mountpoint); err != nil {
		return err
	}
	said, err := unmount(mountpoint)
	for range 2 {
		if !errors.Is(err, unix.EBUSY) {
			break
		}
		if holders := Holders(mountpoint); len(holders) > 0 {
			return fmt.Errorf("%w: %s: %s", actors.ErrBusy, mountpoint, Describe(holders))
		}
		said, err = unmount(mountpoint) // who held it may have let go of it just now
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EBUSY):
		return fmt.Errorf("%w: %s: %s", actors.ErrBusy, mountpoint, Describe(nil))
	case said != "":
		return fmt.Errorf("%w: %s: %s", actors.ErrMount, mountpoint, said)
	}
	return fmt.Errorf("%w: unmount %s: %w", actors.ErrMount, mountpoint, err)
}

// unmount tries it once, and returns what fusermount3 says if that did it.
func unmount(mountpoint string) (said string, err error) {
	if os.Geteuid() == 0 {
		return "", unix.Unmount(mountpoint, unix.UMOUNT_NOFOLLOW)
	}
	out, err := exec.Command("fusermount3", "-u", "--", mountpoint).CombinedOutput()
	if said = oneLine(out, err); strings.Contains(said, "busy") {
		err = unix.EBUSY
	}
	return said, err
}

// Detach takes the name away from a mount that is in use; it lives on until the last holder lets go.
func Detach(mountpoint string) error {
	if os.Geteuid() == 0 {
		return unix.Unmount(mountpoint, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	}
	out, err := exec.Command("fusermount3", "-u", "-z", "--", mountpoint).CombinedOutput()
	if err != nil {
		return errors.New(oneLine(out, err))
	}
	return nil
}

// tune sets what only sysfs can: the kernel throttles writers to a FUSE mount to 1 % of memory, and reads ahead 128 KiB.
func (c *conn) tune() error {
	m, err := Find(c.mountpoint)
	if err != nil {
		return err
	}
	var errs []error
	for _, knob := range []struct{ name, value string }{
		{"strict_limit", "0"}, {"max_ratio", "100"}, {"read_ahead_kb", strconv.Itoa(maxWrite / 1024)},
	} {
		errs = append(errs, os.WriteFile(filepath.Join("/sys/class/bdi", m.Device, knob.name), []byte(knob.value), 0))
	}
	return errors.Join(errs...)
}

func oneLine(out []byte, err error) string {
	if text := strings.Join(strings.Fields(string(out)), " "); text != "" {
		return text
	}
	if err != nil {
		return err.Error()
	}
	return ""
}
