package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// serveTree is a bare go-fuse server: args are its kind, the tree and the mountpoint. It returns when it is unmounted.
func serveTree(args []string) error {
	if len(args) != 3 {
		return fmt.Errorf("server: want KIND TREE MOUNTPOINT, got %q", args)
	}
	root, err := bareRoot(args[0], args[1])
	if err != nil {
		return fmt.Errorf("server: %w", err)
	}
	// As long as ours: after the caches were dropped, each name is looked up once.
	forever := time.Hour
	server, err := gofs.Mount(args[2], root, &gofs.Options{
		MountOptions:    fuse.MountOptions{DirectMountStrict: true, FsName: "antares-bench", Name: "gofuse"},
		EntryTimeout:    &forever,
		AttrTimeout:     &forever,
		NegativeTimeout: &forever,
	})
	if err != nil {
		return fmt.Errorf("server: %w", err)
	}
	server.Wait()
	return nil
}

func bareRoot(kind, tree string) (gofs.InodeEmbedder, error) {
	if kind == "loopback" {
		return gofs.NewLoopbackRoot(tree)
	}
	return &memoryDir{tree: tree}, nil
}

// memoryDir is the root of a copy of a tree's names and sizes, made when it is mounted.
type memoryDir struct {
	gofs.Inode
	tree string
}

// memoryFile knows its size only: what is measured looks no further.
type memoryFile struct {
	gofs.Inode
	size uint64
}

var (
	_ gofs.NodeOnAdder   = (*memoryDir)(nil)
	_ gofs.NodeGetattrer = (*memoryFile)(nil)
)

// OnAdd builds the tree below the root.
func (d *memoryDir) OnAdd(ctx context.Context) {
	dirs := map[string]*gofs.Inode{d.tree: d.EmbeddedInode()}
	err := filepath.WalkDir(d.tree, func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == d.tree {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		parent := dirs[filepath.Dir(path)]
		var node *gofs.Inode
		if e.IsDir() {
			node = parent.NewPersistentInode(ctx, &gofs.Inode{}, gofs.StableAttr{Mode: syscall.S_IFDIR})
			dirs[path] = node
		} else {
			node = parent.NewPersistentInode(ctx, &memoryFile{size: uint64(info.Size())}, gofs.StableAttr{Mode: syscall.S_IFREG})
		}
		parent.AddChild(e.Name(), node, false)
		return nil
	})
	if err != nil { // a callback without a result: the check of the workload finds what is not there
		fmt.Fprintln(os.Stderr, "server: read the tree:", err)
	}
}

// Getattr answers from memory.
func (f *memoryFile) Getattr(_ context.Context, _ gofs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.Mode, out.Size = 0o644, f.size
	return 0
}
