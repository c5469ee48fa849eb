package topology

// nearest is the known name that differs least from name: by at most a third
// of its letters, and by one in short names. It is empty if none is near.
func nearest(name string, known []string) string {
	best, least := "", max(1, len(name)/3)+1
	if len(name) > maxNamed {
		return ""
	}
	for _, k := range known {
		if len(k) > maxNamed {
			continue
		}
		if d := distance(name, k); d < least {
			best, least = k, d
		}
	}
	return best
}

// maxNamed is how long a name may be to be compared: its cost is quadratic.
const maxNamed = 64

// distance is how many bytes must be inserted, left out, changed or exchanged
// with their neighbour to make b of a.
func distance(a, b string) int {
	before, above, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range above {
		above[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			d := above[j]
			if a[i] != b[j] {
				d = 1 + min(above[j], above[j+1], row[j])
			}
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				d = min(d, before[j-1]+1)
			}
			row[j+1] = d
		}
		before, above, row = above, row, before
	}
	return above[len(b)]
}
