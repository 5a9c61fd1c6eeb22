package main_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/antares-actor/antares-actor/internal/testfs"
)

// Databases that several processes use at once: locks, journals, shared mappings.

func TestSQLiteIsSafeForEightProcesses(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	for mode, rows := range map[string]int{"wal": 60, "delete": 30, "persist": 30} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			eachOrigin(t, repo, func(t *testing.T, lab *testfs.Lab, origin string) {
				lab.Need("sqlite3", "sqlite3")
				m := lab.Mount(testfs.Spec{Origin: origin})
				const writers = 8
				script := fmt.Sprintf(`
					test "$(sqlite3 state.db 'PRAGMA journal_mode=%s; CREATE TABLE t (w INT, i INT, PRIMARY KEY (w, i));')" = %[1]s
					cat > write.sh <<-'END'
						w=$1
						for i in $(seq %[2]d); do echo "INSERT INTO t VALUES ($w, $i);"; done | sqlite3 -cmd '.timeout 100000' -cmd 'PRAGMA journal_mode=%[1]s;' state.db
					END
					pids=
					for w in $(seq %[3]d); do bash write.sh $w > /dev/null & pids="$pids $!"; done
					for p in $pids; do wait $p; done
					sqlite3 state.db 'PRAGMA integrity_check; SELECT count(*) FROM t; SELECT count(DISTINCT w) FROM t;'`, mode, rows, writers)
				want := fmt.Sprintf("ok\n%d\n%d\n", writers*rows, writers)
				if out := lab.Shell(m.Path(project), script); out != want {
					t.Errorf("sqlite3 says %q, want %q", out, want)
				}
				m.Unmount()
				if out := lab.Shell(m.InUpper(project), "sqlite3 state.db 'PRAGMA integrity_check; SELECT count(*) FROM t;'"); out != fmt.Sprintf("ok\n%d\n", writers*rows) {
					t.Errorf("in upper sqlite3 says %q", out)
				}
			})
		})
	}
}

// TestADatabaseOfTheOriginIsUsedByEightProcesses: it is copied up by the first that writes, while others have it open.
func TestADatabaseOfTheOriginIsUsedByEightProcesses(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	lab := suite.New(t)
	lab.Need("sqlite3", "sqlite3")
	lab.Shell(repo.Dir, "sqlite3 old.db 'CREATE TABLE t (w INT, i INT); INSERT INTO t SELECT 0, value FROM generate_series(1, 5000);'")
	repo.Commit(t, "database")
	m := lab.Mount(testfs.Spec{Origin: "git:" + repo.Dir})
	out := lab.Shell(m.Point, `
		pids=
		for w in $(seq 8); do
			(for i in $(seq 10); do echo "SELECT count(*) >= 5000 FROM t; INSERT INTO t VALUES ($w, $i);"; done | sqlite3 -cmd '.timeout 100000' old.db | sort -u) & pids="$pids $!"
		done
		for p in $pids; do wait $p; done
		sqlite3 old.db 'PRAGMA integrity_check; SELECT count(*) FROM t;'`)
	if want := strings.Repeat("1\n", 8) + "ok\n5080\n"; out != want {
		t.Errorf("sqlite3 says %q, want %q", out, want)
	}
}

// TestLMDBIsSafeForEightProcesses: it maps its file shared, and has its locks, robust mutexes and a table of readers, in
// another shared mapping.
func TestLMDBIsSafeForEightProcesses(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	eachOrigin(t, repo, func(t *testing.T, lab *testfs.Lab, origin string) {
		lab.Need("mdb_load", "lmdb-utils")
		m := lab.Mount(testfs.Spec{Origin: origin})
		out := lab.Shell(m.Path(project), `
			mkdir db; pids=
			cat > write.sh <<-'END'
				for part in 1 2 3 4 5; do
					(echo VERSION=3; echo format=print; echo type=btree; echo mapsize=8388608; echo HEADER=END
					for i in $(seq 100); do echo " w$1-$part-$i"; echo " value $1 $part $i"; done; echo DATA=END) | mdb_load db
					mdb_dump -p db | grep -c " w$1-" >> counts
				done
			END
			for w in $(seq 8); do bash write.sh $w & pids="$pids $!"; done
			for p in $pids; do wait $p; done
			sort -n counts | uniq -c | tr -s ' '; mdb_stat db | grep Entries; mdb_dump -p db | grep -A1 ' w7-5-100$'; mdb_copy -c db > copy.mdb; mdb_stat -n copy.mdb | grep Entries`)
		want := " 8 100\n 8 200\n 8 300\n 8 400\n 8 500\n  Entries: 4000\n w7-5-100\n value 7 5 100\n  Entries: 4000\n"
		if out != want {
			t.Errorf("it says %q, want %q", out, want)
		}
		m.Unmount()
		if out := lab.Shell(m.InUpper(project), "mdb_stat db | grep Entries"); !strings.Contains(out, "Entries: 4000") {
			t.Errorf("in upper it says %q", out)
		}
	})
}
