package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"
)

// mounted tells whether the kernel lists a mount at this path.
func mounted(path string) (bool, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return false, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if fields := strings.Fields(lines.Text()); len(fields) > 4 && fields[4] == path {
			return true, nil
		}
	}
	return false, lines.Err()
}

// awaitMount waits until path is a mount whose root can be listed; it gives up when the server ends first.
func awaitMount(ctx context.Context, path string, ended <-chan error) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for tick := time.NewTicker(time.Millisecond); ; {
		if ok, err := mounted(path); err != nil {
			return err
		} else if ok {
			_, err := os.ReadDir(path)
			return err
		}
		select {
		case err := <-ended:
			return fmt.Errorf("the server ended before it had mounted: %w", errors.Join(err, errEnded))
		case <-ctx.Done():
			return fmt.Errorf("no mount at %s: %w", path, context.Cause(ctx))
		case <-tick.C:
		}
	}
}

var errEnded = errors.New("see its log above")

// unmount takes a mount away, waiting for a while for those who are still leaving it; in the end it detaches it, and says so.
func unmount(path string) error {
	var err error
	for range 100 {
		if err = syscall.Unmount(path, 0); !errors.Is(err, syscall.EBUSY) {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if err == nil || errors.Is(err, syscall.EINVAL) { // EINVAL: nothing is mounted there any more
		return nil
	}
	return errors.Join(fmt.Errorf("unmount %s: %w", path, err), syscall.Unmount(path, syscall.MNT_DETACH))
}
