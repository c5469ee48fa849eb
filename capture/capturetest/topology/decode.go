package topology

import (
	"encoding"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// A decoder fills a Go value from a TOML tree. Unlike go-toml's own it goes on
// after a fault, and is strict about the case of keys.
type decoder struct {
	report func(at *place, reason string)
}

// fault reports a value that cannot be read. It marks the place, so that
// nothing is said about the value's absence later.
func (d *decoder) fault(at *place, path, format string, args ...any) {
	at.faulty = true
	reason := fmt.Sprintf(format, args...)
	if path != "" {
		reason = path + ": " + reason
	}
	d.report(at, reason)
}

func (d *decoder) value(at *place, path string, from any, to reflect.Value) {
	if text, ok := to.Addr().Interface().(encoding.TextUnmarshaler); ok {
		d.text(at, path, from, text, to.Interface())
		return
	}
	switch to.Kind() {
	case reflect.Pointer:
		to.Set(reflect.New(to.Type().Elem()))
		d.value(at, path, from, to.Elem())
	case reflect.Struct:
		d.table(at, path, from, to)
	case reflect.Slice:
		d.array(at, path, from, to)
	default:
		d.scalar(at, path, from, to)
	}
}

func (d *decoder) text(at *place, path string, from any, to encoding.TextUnmarshaler, zero any) {
	s, ok := from.(string)
	if !ok {
		d.fault(at, path, "%s, want %s", describe(from), textual(zero))
		return
	}
	switch err := to.UnmarshalText([]byte(s)); {
	case errors.Is(err, errOverflow) && s[0] == '-':
		d.fault(at, path, "%s is negative", s)
	case errors.Is(err, errOverflow):
		d.fault(at, path, "%s is above %v", s, longest)
	case err != nil:
		d.fault(at, path, "%q is not %s", s, textual(zero))
	}
}

// textual says what a value written as a string is.
func textual(v any) string {
	switch reflect.TypeOf(v).Name() {
	case "Duration":
		return `a duration like "1.5ms"`
	case "Prefix":
		return `a prefix like "192.0.2.0/24"`
	default:
		return `an address like "192.0.2.1"`
	}
}

func (d *decoder) table(at *place, path string, from any, to reflect.Value) {
	table, ok := from.(map[string]any)
	if !ok {
		d.fault(at, path, "%s, want a table", describe(from))
		return
	}
	fields := map[string]reflect.Value{}
	fieldsOf(to, fields)
	for _, key := range slices.Sorted(maps.Keys(table)) {
		field, ok := fields[key]
		if !ok {
			at.faulty = true
			known := slices.Sorted(maps.Keys(fields))
			d.fault(at.key(key), path, "unknown key %q%s", key, instead(key, known))
			continue
		}
		d.value(at.key(key), join(path, key), table[key], field)
	}
}

// fieldsOf collects the fields of a struct by their keys. Those of an embedded
// struct are the outer one's.
func fieldsOf(v reflect.Value, fields map[string]reflect.Value) {
	for f, field := range v.Fields() {
		if f.Anonymous {
			fieldsOf(field, fields)
			continue
		}
		fields[f.Tag.Get("toml")] = field
	}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func (d *decoder) array(at *place, path string, from any, to reflect.Value) {
	list, ok := from.([]any)
	if !ok {
		want := "an array"
		if path == "router" || path == "destination" || path == "link" || path == "prefix" {
			want = "tables [[" + path + "]]"
		}
		d.fault(at, path, "%s, want %s", describe(from), want)
		return
	}
	if len(list) == 0 {
		return
	}
	to.Set(reflect.MakeSlice(to.Type(), len(list), len(list)))
	for i, from := range list {
		d.value(at.elem(i), path, from, to.Index(i))
	}
}

func (d *decoder) scalar(at *place, path string, from any, to reflect.Value) {
	switch v := from.(type) {
	case string:
		if to.Kind() == reflect.String {
			to.SetString(v)
			return
		}
	case bool:
		if to.Kind() == reflect.Bool {
			to.SetBool(v)
			return
		}
	case float64:
		if to.CanFloat() {
			to.SetFloat(v)
			return
		}
	case int64:
		if to.CanFloat() {
			to.SetFloat(float64(v))
			return
		}
		if to.CanInt() || to.CanUint() {
			d.integer(at, path, v, to)
			return
		}
	}
	d.fault(at, path, "%s, want %s", describe(from), wanted(to.Kind()))
}

func (d *decoder) integer(at *place, path string, v int64, to reflect.Value) {
	switch {
	case to.CanInt() && !to.OverflowInt(v):
		to.SetInt(v)
	case to.CanUint() && v >= 0 && !to.OverflowUint(uint64(v)):
		to.SetUint(uint64(v))
	case to.CanUint() && v < 0:
		d.fault(at, path, "%d is negative", v)
	default:
		d.fault(at, path, "%d is above %d", v, uint64(1)<<to.Type().Bits()-1)
	}
}

func wanted(k reflect.Kind) string {
	switch k {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Float64:
		return "a number"
	default:
		return "an integer"
	}
}

// describe says what a TOML value is, and where it is short, which.
func describe(v any) string {
	switch v := v.(type) {
	case string:
		return fmt.Sprintf("string %q", v)
	case bool:
		return fmt.Sprintf("boolean %t", v)
	case int64:
		return fmt.Sprintf("integer %d", v)
	case float64:
		return fmt.Sprintf("number %v", v)
	case []any:
		return "an array"
	case map[string]any:
		return "a table"
	default:
		return "a date or time"
	}
}

// instead names what may have been meant: what is near, else all there is.
func instead(name string, known []string) string {
	if near := nearest(name, known); near != "" {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	return "; known are " + strings.Join(known, ", ")
}
