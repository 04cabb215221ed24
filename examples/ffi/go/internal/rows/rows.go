// Package rows makes up the rows of all examples; ../c/rows.h says what is in them.
package rows

import "example.com/home"

// Count is how many there are.
const Count = 64

// Make makes the rows begin .. end - 1.
func Make(model *home.Model, begin, end int) home.Batch {
	batch := home.Batch{Rows: end - begin, Fields: make([]home.Ids, len(model.Fields()))}
	for f := 1; f < len(batch.Fields); f++ {
		batch.Fields[f].Offsets = []int{0}
	}
	for r := begin; r < end; r++ {
		for c := 0; c < model.DenseWidth(); c++ {
			batch.Dense = append(batch.Dense, float32((37*r+11*c+r*c)%64)/32-1)
		}
		for f := range batch.Fields {
			field := &batch.Fields[f]
			count := 1
			if f > 0 {
				count = (r + f) % 3
			}
			for k := 0; k < count; k++ {
				field.IDs = append(field.IDs, uint64(131*(r%16)+17*f+k+1)*0x9E3779B97F4A7C15)
			}
			if f > 0 {
				field.Offsets = append(field.Offsets, len(field.IDs))
			}
		}
	}
	return batch
}
