package changelist

import (
	"context"

	"github.com/antares-actor/antares-actor/remote"
)

// origin answers for the trees of a changelist.
type origin struct {
	remote.Origin
	result Result
}

// Origin returns base with the trees of r, and with those of remote's optional interfaces that base has. What r does not
// have stands in base at the same path, so that base is asked for it as if there were no changelist. The caller says
// base's commit in each TreeRef, and closes base through the result or by itself, once.
func Origin(base remote.Origin, r Result) remote.Origin {
	if len(r.Trees) == 0 {
		return base
	}
	return remote.Decorate(&origin{Origin: base, result: r}, base)
}

// Tree implements remote.Origin.
func (o *origin) Tree(ctx context.Context, ref remote.TreeRef) (remote.Tree, error) {
	if payload, ok := o.result.Trees[ref.ID]; ok {
		return remote.Tree{Payload: payload}, ctx.Err()
	}
	return o.Origin.Tree(ctx, ref)
}
