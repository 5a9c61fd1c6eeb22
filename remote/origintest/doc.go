// Package origintest is the contract that each driver of remote.Origin keeps, as a test suite, with what such tests need:
// a git repository with everything in it that has ever been trouble, and faults to put between a client and a server.
//
//	func TestContract(t *testing.T) {
//		origintest.Run(t, func(t *testing.T) origintest.Fixture {
//			repo := origintest.NewRepo(t)
//			return origintest.Fixture{Repo: repo, Origin: open(t, repo.Dir)}
//		})
//	}
//
// The suite reads the truth with git itself and changes the repository while the origin is open: a driver has to follow
// a moved head when asked for the head, and to keep to a pinned commit when not. Each case gets a fixture of its own.
// What a driver leaves running is seen by its own tests, since only they know what it starts.
package origintest
