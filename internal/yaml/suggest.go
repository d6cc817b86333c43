package yaml

// maxWord bounds the words that are compared: edit distance is quadratic.
const maxWord = 64

// Nearest returns the known word that was probably meant, or "": at most a third of
// the letters may be wrong.
func Nearest(word string, known []string) string {
	if len(word) > maxWord {
		return ""
	}
	best, at := "", max(1, len(word)/3)+1
	for _, k := range known {
		if len(k) > maxWord {
			continue
		}
		if d := distance(word, k); d < at {
			best, at = k, d
		}
	}
	return best
}

// distance counts the letters to insert, delete, replace or swap with their neighbour
// (optimal string alignment).
func distance(a, b string) int {
	var rows [3][maxWord + 1]int
	before, last, row := &rows[0], &rows[1], &rows[2]
	for j := range len(b) + 1 {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
