// RUN: cimc opt %s -p 'shard{fan_in=2},choose-adc-steps{ranges=clip-free},copy,place{strategy=greedy},schedule' --target 'tsinghua28{array.rows=32 array.cols=32 tile.arrays=1 chip.mesh=2x1}' --data %data 2>/dev/null | filecheck %s
// RUN: cimc opt %s -p 'shard{stack=1 score_bits=16}' --target 'tsinghua28{array.rows=32 array.cols=32 chip.mesh=2x1}' --data %data 2>/dev/null | filecheck %s --check-prefix FLAT
// DATA: c.int int8 [48, 16] 1 2 3
// DATA: c.scales float32 [1] 0.5
// A corpus in shards of one array of two groups of 16 items each; the second half goes to the other tile, and
// both lists become one where the first is.

// CHECK: cim.shards @c slices 2 stack 2 blocks <[[0, 16, 0, 16], [16, 16, 0, 16], [32, 16, 0, 16]]>
// CHECK-NEXT: cim.adc @c "clip-free" steps <{{.*}}> certified 0 of 0 bits <[]>
// CHECK-NEXT: cim.placement @c blocks <[{{\[}}[[TILE:[01]]], 0, 0], {{\[}}[[TILE]], 0, 0], [{{[01]}}, 0, 0]]>
// FLAT: cim.shards @c slices 2 stack 1 blocks <[[0, 16, 0, 16], [16, 16, 0, 16], [32, 16, 0, 16]]>
cim.corpus "c" items 48 dim 16 bits 8 data @c.int scales @c.scales inputs 8 signed 1
func.func @main(%x: tensor<?x16xi8>) -> tensor<?x10xi64> {
  // CHECK: cim.search @c %{{.*}} k 10 first 0 count 2 {{.*}}cim.tile = [[TILE]]
  // CHECK: cim.search @c %{{.*}} k 10 first 2 count 1
  // CHECK: cim.merge
  // CHECK: rec.hits "ids"
  // FLAT: cim.search @c %{{.*}} k 10 first 0 count 3 width 16 shift 3
  %w = cim.search @c %x k 10 : tensor<?x16xi8> -> tensor<?x20xi32>
  %i = rec.hits "ids" %w : tensor<?x20xi32> -> tensor<?x10xi64>
  func.return %i : tensor<?x10xi64>
}
