package actors

import (
	"errors"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/internal/tree"
)

const (
	// profileMost and profileBytes bound a profile: what a job used first stays. The bytes are those of its file before
	// compression.
	profileMost  = 200_000
	profileBytes = 16 << 20
	// profileAge is for how many runs an entry stays that they did not use.
	profileAge = 3
	// profileEvery is how often a profile is saved while a mount lasts, if there is something new: a mount that is killed loses
	// no more.
	profileEvery = time.Minute
	// profileNameMax is how long a file's name may be, but for what a temporary one adds.
	profileNameMax = 240
)

// profileUse is one entry of a profile: an object that a job used. Immutable.
type profileUse struct {
	Path string // in the repository
	ID   object.ID
	Kind profileKind
	Age  uint8 // how many runs have not used it since
}

type profileKind uint8

const (
	profileTree  profileKind = iota
	profileSized             // only a file's size
	profileRead
)

// profile is what jobs of one name use, in the order of first use. The mount's prefetcher owns it, whose incarnations share it,
// and after them whoever ends the mount.
type profile struct {
	file  string
	log   *slog.Logger
	root  object.ID // of the mount when it was recorded last; zero for a new profile
	older []profileUse
	uses  []profileUse // of this run
	known map[profileKey]struct{}
	saved int // of uses
}

type profileKey struct {
	path string
	kind profileKind
}

// saveProfile tells the prefetcher that it is time to.
type saveProfile struct{}

// profileFile is the name of a profile's file.
func profileFile(name string) string { return url.PathEscape(name) + ".profile" }

// loadProfile returns the profile of that name, an empty one if there is none, and nil if none is wanted.
func loadProfile(dir, name string, log *slog.Logger) *profile {
	if dir == "" || name == "" {
		return nil
	}
	p := &profile{file: filepath.Join(dir, profileFile(name)), log: log, known: make(map[profileKey]struct{})}
	f, err := os.Open(p.file)
	if err == nil {
		defer func() { _ = f.Close() }()
		p.root, p.older, err = readProfile(f)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		p.log.Warn("profile cannot be read and begins anew", slog.String("file", p.file), slog.Any("error", err))
	}
	return p
}

// note records the first use of a directory, or of the file of that name in it.
func (p *profile) note(dir, name string, m *use) {
	if p == nil || len(p.uses) >= profileMost {
		return
	}
	u := profileUse{Path: dir, ID: m.Node.State().Object, Kind: profileTree}
	if !m.Node.IsDir() {
		if u.Path, u.Kind = name, profileRead; dir != "" {
			u.Path = dir + "/" + name
		}
		if m.How == tree.Sized {
			u.Kind = profileSized
		}
	}
	key := profileKey{u.Path, u.Kind}
	if _, had := p.known[key]; had {
		return
	}
	p.known[key] = struct{}{}
	p.uses = append(p.uses, u)
}

// merged is what is to be saved: what this run used, and then what earlier ones did, as long as it is not too old.
func (p *profile) merged() []profileUse {
	all := p.uses[:len(p.uses):len(p.uses)]
	for _, u := range p.older {
		if _, had := p.known[profileKey{u.Path, u.Kind}]; had || u.Age >= profileAge {
			continue
		}
		u.Age++
		all = append(all, u)
	}
	return all[:min(len(all), profileMost)]
}

// saveLater saves the profile in a worker, if there is something new.
func (p *profile) saveLater(c *core, self *handle) {
	time.AfterFunc(profileEvery, func() { self.Tell(&saveProfile{}) })
	if len(p.uses) == p.saved {
		return
	}
	p.saved = len(p.uses)
	root, all := c.root.State().Object, p.merged()
	save := func() { p.save(root, all) }
	c.work(save, func() {})
}

// end saves what a mount that ends has recorded. A mount in which nothing was read says nothing of what is needed.
func (p *profile) end(c *core) {
	if p != nil && len(p.uses) > 0 {
		p.save(c.root.State().Object, p.merged())
	}
}

// save replaces the file.
func (p *profile) save(root object.ID, all []profileUse) {
	if err := writeProfile(p.file, root, all); err != nil {
		p.log.Warn("profile is not saved", slog.String("file", p.file), slog.Any("error", err))
	}
}
