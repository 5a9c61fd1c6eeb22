package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/antares-actor/antares-actor/remote/gitrepo"
	"github.com/antares-actor/antares-actor/remote/monoserver"
)

type monoCommand struct {
	git      string
	listen   string
	logLevel string
	head     string
	lfs      string
	faults   []string
	control  bool
	cls      []string
	clPaths  []string
}

func newMonoCommand() *cobra.Command {
	var c monoCommand
	cmd := &cobra.Command{
		Use:   "mono --git REPO",
		Short: "Serve a git repository by Mega's HTTP API",
		Long: `Serve a git repository on disk by the read routes of Mega's HTTP API, without authentication: to try antares-actor without a
Mega server, and to test it. It prints its address when it can be asked, and runs until it is interrupted.`,
		Args: exactArgs(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error { return c.run(cmd.Context()) },
	}
	cmd.Flags().StringVar(&c.git, "git", ".", "the repository")
	cmd.Flags().StringVar(&c.listen, "listen", "127.0.0.1:8000", "address; port 0 picks a free one")
	cmd.Flags().StringVar(&c.head, "head", "", "the commit to serve (default: the repository's HEAD, also when it moves)")
	cmd.Flags().StringArrayVar(&c.cls, "cl", nil, "a changelist: LINK=REV, LINK=BASE..REV, LINK=@PATCHFILE or LINK=BASE..@PATCHFILE; repeat it")
	cmd.Flags().StringArrayVar(&c.clPaths, "cl-path", nil, "LINK=PATH: the directory that a changelist belongs to")
	cmd.Flags().StringArrayVar(&c.faults, "fault", nil, `a fault as JSON, such as {"kind":"status","status":503,"route":"/file/blob/","count":2}; repeat it`)
	cmd.Flags().BoolVar(&c.control, "control", false, "let clients move the head, add changelists and set faults, under /_test/")
	cmd.Flags().StringVar(&c.lfs, "lfs", "", "directory of Git LFS objects (default: the repository's)")
	cmd.Flags().StringVar(&c.logLevel, "log-level", "info", "debug, info, warn or error")
	return cmd
}

func (c *monoCommand) run(ctx context.Context) error {
	log, err := newLogger(c.logLevel)
	if err != nil {
		return err
	}
	repo, err := gitrepo.Open(ctx, c.git)
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	defer func() { _ = repo.Close() }()
	server := monoserver.New(repo, log)
	if c.lfs == "" {
		c.lfs = filepath.Join(repo.CommonDir(), "lfs", "objects")
	}
	server.ServeLFS(c.lfs)
	if err := c.prepare(ctx, server); err != nil {
		return err
	}
	ln, err := net.Listen("tcp", c.listen)
	if err != nil {
		return fmt.Errorf("%w on %s: %w: choose another --listen", errBind, c.listen, err)
	}
	var handler http.Handler = server
	if c.control {
		handler = server.Control()
	}
	fmt.Fprintf(os.Stdout, "serving %s on http://%s\n", c.git, ln.Addr())
	return monoserver.Serve(ctx, ln, handler, log)
}

// prepare gives the server what the flags say.
func (c *monoCommand) prepare(ctx context.Context, server *monoserver.Server) error {
	if c.head != "" {
		if _, err := server.SetHead(ctx, c.head); err != nil {
			return fmt.Errorf("%w: --head: %w", errUsage, err)
		}
	}
	for _, flag := range c.faults {
		var spec monoserver.Spec
		err := json.Unmarshal([]byte(flag), &spec)
		if err == nil {
			err = server.AddFault(ctx, spec)
		}
		if err != nil {
			return fmt.Errorf("%w: --fault %s: %w", errUsage, flag, err)
		}
	}
	cls, err := c.changelists()
	if err != nil {
		return err
	}
	for _, cl := range cls {
		if err := server.AddChangelist(ctx, cl); err != nil {
			return fmt.Errorf("%w: --cl: %w", errUsage, err)
		}
	}
	return nil
}

// changelists reads --cl and --cl-path, and the patch files that they name.
func (c *monoCommand) changelists() ([]monoserver.Changelist, error) {
	var cls []monoserver.Changelist
	for _, flag := range c.cls {
		link, what, ok := strings.Cut(flag, "=")
		if !ok || link == "" || what == "" {
			return nil, fmt.Errorf("%w: --cl %q: give LINK=REV, LINK=BASE..REV, LINK=@PATCHFILE or LINK=BASE..@PATCHFILE", errUsage, flag)
		}
		cl := monoserver.Changelist{Link: link, Rev: what}
		base, file, found := strings.Cut(what, "..@")
		if !found {
			file, found = strings.CutPrefix(what, "@")
			base = ""
		}
		if found {
			patch, err := os.ReadFile(file)
			if err != nil {
				return nil, fmt.Errorf("%w: --cl %s: %w", errUsage, link, err)
			}
			cl.Rev, cl.Base, cl.Patch = "", base, string(patch)
		}
		cls = append(cls, cl)
	}
	for _, flag := range c.clPaths {
		link, path, ok := strings.Cut(flag, "=")
		i := slices.IndexFunc(cls, func(cl monoserver.Changelist) bool { return cl.Link == link })
		if !ok || i < 0 {
			return nil, fmt.Errorf("%w: --cl-path %q: give LINK=PATH, with the LINK of a --cl", errUsage, flag)
		}
		cls[i].Path = path
	}
	return cls, nil
}
