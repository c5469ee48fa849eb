package randomnet

import (
	"encoding"
	"reflect"

	"github.com/pelletier/go-toml/v2"

	"github.com/tracewire/tracewire/capture/capturetest/topology"
)

// File returns the file from which topology.Parse reads a topology. What has its
// zero value is left out.
func File(t *topology.Topology) []byte {
	data, err := toml.Marshal(tree(reflect.ValueOf(*t)))
	if err != nil {
		panic(err) // a topology has nothing that TOML has not
	}
	return data
}

// tree is a value as TOML knows it.
func tree(v reflect.Value) any {
	if text, ok := v.Interface().(encoding.TextMarshaler); ok {
		b, err := text.MarshalText()
		if err != nil {
			panic(err) // addresses, prefixes and durations can be written
		}
		return string(b)
	}
	switch v.Kind() {
	case reflect.Pointer:
		return tree(v.Elem())
	case reflect.Struct:
		table := map[string]any{}
		addFields(table, v)
		return table
	case reflect.Slice:
		return elements(v)
	}
	return v.Interface()
}

// elements is a slice. One of tables has that type, by which they get headers.
func elements(v reflect.Value) any {
	var tables []map[string]any
	var all []any
	for i := range v.Len() {
		switch e := tree(v.Index(i)).(type) {
		case map[string]any:
			tables = append(tables, e)
		default:
			all = append(all, e)
		}
	}
	if tables != nil {
		return tables
	}
	return all
}

// addFields adds the fields of a struct by their keys. Those of an embedded struct
// are the outer one's.
func addFields(table map[string]any, v reflect.Value) {
	for f, field := range v.Fields() {
		switch {
		case f.Anonymous:
			addFields(table, field)
		case !field.IsZero():
			table[f.Tag.Get("toml")] = tree(field)
		}
	}
}
