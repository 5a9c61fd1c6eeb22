package actors

import "github.com/antares-actor/antares-actor/internal/tree"

// gone lets go of what nobody waits for any more: of the directories that are being read, and the sizes that were asked for
// alone, those for which every caller has gone. What comes all the same finds nobody.
func (r *region) gone() {
	for dir, msgs := range r.loading {
		if !allOver(msgs) {
			continue
		}
		delete(r.loading, dir)
		r.core.dicfuseActor.Tell((*stopReading)(r.reading(dir)))
	}
	for n, msgs := range r.sizing {
		if len(msgs) == 0 || !allOver(msgs) || r.core.source.batches() {
			continue
		}
		delete(r.sizing, n)
		r.core.dicfuseActor.Tell((*stopSizing)(r.sizeOf(n)))
	}
}

func allOver(msgs []any) bool {
	for _, m := range msgs {
		if q, ok := m.(request); !ok || !q.call().over() {
			return false
		}
	}
	return true
}

// reading asks for a directory's tree object.
func (r *region) reading(dir *tree.Node) *readTree {
	s := dir.State()
	return &readTree{Dir: dir, ID: s.Object, Pin: s.Pin, Path: dir.OriginPath(), To: &r.self.Owner}
}
