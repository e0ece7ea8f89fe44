// RUN: cimc opt %s -p choose-adc-steps --target tsinghua28 --data %data 2>/dev/null | filecheck %s
// RUN: cimc opt %s -p 'choose-adc-steps{ranges=clip-free}' --target tsinghua28 --data %data 2>/dev/null | filecheck %s --check-prefix SAFE
// Samples that reach a little of the range give finer steps, and clip others; without samples nothing clips.
// DATA: w.int int8 [40, 2] 112 -100 90
// DATA: w.scales float32 [2] 0.5
// DATA: cimc:samples:w int32 [3, 40] 1 0 3 2
// DATA: v.int int8 [3, 2] 1 0 0 1 1 0
// DATA: v.scales float32 [2] 0.5

// CHECK: cim.shards @w slices 2 blocks <[[0, 40, 0, 2]]>
// CHECK-NEXT: cim.adc @w "calibrated" steps <[[[7, 20], [3, 21]]]> certified 0 of 4 bits <[0]>
// SAFE: cim.adc @w "clip-free" steps <[[[20, 20], [21, 21]]]> certified 0 of 4 bits <[0]>
cim.weights "w" rows 40 cols 2 bits 8 data @w.int scales @w.scales inputs 8 signed 0
cim.shards @w slices 2 blocks <[[0, 40, 0, 2]]>
// Of layers without samples the worst case counts; sums that no input takes past the codes are certified.
// CHECK: cim.adc @v "clip-free" steps <[[[1, 1], [1, 1]]]> certified 4 of 4 bits <[240]>
// SAFE: cim.adc @v "clip-free" steps <[[[1, 1], [1, 1]]]> certified 4 of 4 bits <[240]>
cim.weights "v" rows 3 cols 2 bits 8 data @v.int scales @v.scales inputs 8 signed 0
cim.shards @v slices 2 blocks <[[0, 3, 0, 2]]>
// Tables are read with the steps of cim.pooling.
// CHECK: cim.pooling
// CHECK-NEXT: func.func
cim.table "t" rows 6 cols 4 bits 8 data @t.int scales @t.scales
cim.shards @t slices 2 blocks <[[0, 6, 0, 4]]>
cim.pooling @t rows 1 step 1
func.func @main() {
  func.return
}
