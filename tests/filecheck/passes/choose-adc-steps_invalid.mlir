// RUN: { ! cimc opt %s -p choose-adc-steps --target tsinghua28; } 2>&1 | filecheck %s
// CHECK: matrix @w has no cim.shards yet, which pass 'shard' decides [pass.needs-shard]
cim.weights "w" rows 6 cols 4 bits 8 data @w.int scales @w.scales inputs 8 signed 0
func.func @main() {
  func.return
}
// -----
// RUN: { ! cimc opt %s -p choose-adc-steps --target tsinghua28; } 2>&1 | filecheck %s
// CHECK: matrix @w has its cim.adc already [pass.decided-already]
cim.weights "w" rows 6 cols 4 bits 8 data @w.int scales @w.scales inputs 8 signed 1
cim.shards @w slices 2 blocks <[[0, 6, 0, 4]]>
cim.adc @w "clip-free" steps <[[[2, 2, 2, 2], [2, 2, 2, 2]]]> certified 0 of 8 bits <[0]>
func.func @main() {
  func.return
}
// -----
// RUN: { ! cimc opt %s -p 'choose-adc-steps{ranges=tight}' --target tsinghua28; } 2>&1 | filecheck %s
// CHECK: ranges=tight: known are calibrated, clip-free [choose-adc-steps.option]
func.func @main() {
  func.return
}
