// RUN: cimc opt %s -p shard --target isaac32 --data %data 2>/dev/null | filecheck %s
// Matrices are cut to arrays of 128 x 128 cells, four slices a weight; one product an array group.
// DATA: w.int int8 [200, 40] 1 -2 3
// DATA: w.scales float32 [40] 0.5
// DATA: t.int int8 [300, 8] 1 2 3

// CHECK: cim.weights "w"
// CHECK-NEXT: cim.shards @w slices 4 blocks <[[0, 128, 0, 32], [128, 72, 0, 32], [0, 128, 32, 8], [128, 72, 32, 8]]>
// CHECK-NOT: cim.adc
cim.weights "w" rows 200 cols 40 bits 8 data @w.int scales @w.scales inputs 8 signed 0
// CHECK-NEXT: cim.table "t"
// CHECK-NEXT: cim.shards @t slices 4 blocks <[[0, 128, 0, 8], [128, 128, 0, 8], [256, 44, 0, 8]]>
// CHECK-NEXT: cim.pooling @t rows {{[0-9]+}} step 1
cim.table "t" rows 300 cols 8 bits 8 data @t.int scales @t.scales
func.func @main(%x: tensor<?x200xui8>, %ids: tensor<?x2xi64>) -> (tensor<?x40xi32>, tensor<?x8xf32>) {
  // CHECK: cim.mvm @w %{{.*}} first 0 count 4 : tensor<?x200xui8> -> tensor<?x40xi32>
  %m = cim.mvm @w %x : tensor<?x200xui8> -> tensor<?x40xi32>
  %e = cim.lookup @t "sum" "fixed" %ids scale 0.5 dim 8 : tensor<?x2xi64> -> tensor<?x8xf32>
  func.return %m, %e : tensor<?x40xi32>, tensor<?x8xf32>
}
