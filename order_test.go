package tracewire_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

// The package comment lists the files of the package from top to bottom. No file uses
// what a file above it declares.
func TestFilesUseOnlyWhatIsBelow(t *testing.T) {
	files := token.NewFileSet()
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var parsed []*ast.File
	comment := ""
	for _, name := range names {
		if isTest, _ := filepath.Match("*_test.go", name); isTest {
			continue
		}
		f, err := parser.ParseFile(files, name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, f)
		if f.Doc != nil {
			comment = f.Doc.Text()
		}
	}
	order := map[string]int{}
	for _, line := range regexp.MustCompile(`(?m)^\t(\w+\.go)\s`).FindAllStringSubmatch(comment, -1) {
		order[line[1]] = len(order)
	}
	file := func(at token.Pos) string { return files.Position(at).Filename }
	var all []string
	for _, f := range parsed {
		all = append(all, file(f.Pos()))
	}
	if listed := slices.Sorted(maps.Keys(order)); !slices.Equal(listed, slices.Sorted(slices.Values(all))) {
		t.Fatalf("the comment lists %v, the files are %v", listed, all)
	}
	uses := map[*ast.Ident]types.Object{}
	// What is imported is not looked at, so its errors count nothing.
	config := types.Config{Importer: nothing{}, Error: func(error) {}}
	pkg, _ := config.Check("tracewire", files, parsed, &types.Info{Uses: uses})
	checked := 0
	for ident, object := range uses {
		if object.Pkg() != pkg || !object.Pos().IsValid() {
			continue
		}
		from, to := file(ident.Pos()), file(object.Pos())
		if checked++; order[to] < order[from] {
			t.Errorf("%v: %s is declared in %s, above", files.Position(ident.Pos()), object.Name(), to)
		}
	}
	if checked < 500 {
		t.Errorf("only %d uses were found", checked)
	}
}

// nothing imports packages without what is in them.
type nothing struct{}

// Import implements types.Importer.
func (nothing) Import(path string) (*types.Package, error) {
	p := types.NewPackage(path, filepath.Base(path))
	p.MarkComplete()
	return p, nil
}
