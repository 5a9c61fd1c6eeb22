package mega

import (
	"testing"

	"github.com/antares-actor/antares-actor/internal/object"
)

// FuzzParseListing: whatever a server sends, parsing does not panic, and what is accepted is a tree that git could hold.
func FuzzParseListing(f *testing.F) {
	const id = "ce013625030ba8dba906f756967f9e9ca394464a"
	f.Add([]byte(`{"req_result":true,"data":[{"name":"b","content_type":"directory","oid":"` + id + `"},` +
		`{"name":"b.c","content_type":"file","oid":"sha1:` + id + `"}],"err_message":""}`))
	f.Add([]byte(`{"req_result":true,"data":[{"name":"..","content_type":"file","oid":"` + id + `"}]}`))
	f.Add([]byte(`{"req_result":false,"data":null,"err_message":"Internal server error"}`))
	f.Add([]byte(`{"req_result":true,"data":[null]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		entries, err := parseListing(text)
		if err != nil {
			return
		}
		again, err := object.ParseTree(object.AppendTree(nil, entries))
		if err != nil || len(again) != len(entries) {
			t.Fatalf("accepted %v, which is no tree: %v", entries, err)
		}
	})
}
