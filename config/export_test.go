package config

// Ranges are the whole numbers that have one, by path, for the schema. Sizes are texts there.
func Ranges() map[string][2]int64 {
	c := Default()
	out := map[string][2]int64{}
	for _, b := range bounds(&c) {
		if b.show(1) == number(1) {
			out[b.path] = [2]int64{b.lowest, b.upper}
		}
	}
	return out
}
