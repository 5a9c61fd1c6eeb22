package actors_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/antares-actor/antares-actor/actors"
	"github.com/antares-actor/antares-actor/cache"
	"github.com/antares-actor/antares-actor/fusebridge"
	"github.com/antares-actor/antares-actor/remote/gitrepo"
)

// A build worker makes one engine, and one mount a job. Whatever works in the mount is another process: one that serves a
// mount must not touch files in it.
func Example() {
	if err := job(context.Background()); err != nil {
		fmt.Println(err)
	}
	// Output:
	// mounted: Ready
	// in the mount: hello
	// in the mount: world
	// the repository still says: hello
	// upper holds: greeting
	// after the unmount: Unmounted
}

func job(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	repo, mountpoint, upper := filepath.Join(dir, "repo"), filepath.Join(dir, "mnt"), filepath.Join(dir, "upper")
	if err := sh(dir, `git init -q repo && cd repo && echo hello >greeting && git add . &&
		git -c user.name=A -c user.email=a@example.org commit -q -m first && mkdir ../mnt`); err != nil {
		return err
	}

	logger := slog.New(slog.DiscardHandler)
	origin, err := gitrepo.Open(ctx, repo)
	if err != nil {
		return err
	}
	defer origin.Close()
	content, err := cache.Open(cache.Config{Dir: filepath.Join(dir, "cache"), Log: logger})
	if err != nil {
		return err
	}
	defer content.Close()
	engine, err := actors.NewEngine(actors.Config{Content: content, Bridge: fusebridge.New(logger), Log: logger})
	if err != nil {
		return err
	}
	defer engine.Close(ctx)

	mount, err := engine.Mount(ctx, actors.MountSpec{Origin: origin, Mountpoint: mountpoint, Upper: upper})
	if err != nil {
		return err
	}
	fmt.Println("mounted:", mount.Stats().State)
	if err := sh(mountpoint, `echo "in the mount: $(cat greeting)"; echo world >greeting; echo "in the mount: $(cat greeting)"`); err != nil {
		return err
	}
	if err := mount.Unmount(ctx); err != nil {
		return err
	}
	if err := sh(dir, `echo "the repository still says: $(cat repo/greeting)"; echo "upper holds: $(ls upper)"`); err != nil {
		return err
	}
	fmt.Println("after the unmount:", mount.State())
	return nil
}

// sh runs a script in a directory, its output ours.
func sh(dir, script string) error {
	cmd := exec.Command("sh", "-c", script)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, os.Stdout, os.Stderr
	return cmd.Run()
}
