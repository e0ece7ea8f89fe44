// RUN: { ! cimc opt %s -p place --target tsinghua28; } 2>&1 | filecheck %s
// CHECK: matrix @t has no cim.shards yet, which pass 'shard' decides [pass.needs-shard]
cim.table "t" rows 6 cols 4 bits 8 data @t.int scales @t.scales
func.func @main() {
  func.return
}
// -----
// RUN: { ! cimc opt %s -p place --target tsinghua28; } 2>&1 | filecheck %s
// CHECK: matrix @t has its cim.placement already [pass.decided-already]
cim.table "t" rows 6 cols 4 bits 8 data @t.int scales @t.scales
cim.shards @t slices 2 blocks <[[0, 6, 0, 4]]>
cim.placement @t blocks <[[0, 0, 0]]>
func.func @main() {
  func.return
}
// -----
// RUN: { ! cimc opt %s -p place --target tsinghua28; } 2>&1 | filecheck %s
// CHECK: this product is of all of @w, which pass 'shard' cuts into blocks [pass.needs-shard]
cim.weights "w" rows 6 cols 4 bits 8 data @w.int scales @w.scales inputs 8 signed 0
cim.shards @w slices 2 blocks <[[0, 6, 0, 4]]>
func.func @main(%x: tensor<?x6xui8>) -> tensor<?x4xi32> {
  %m = cim.mvm @w %x : tensor<?x6xui8> -> tensor<?x4xi32>
  func.return %m : tensor<?x4xi32>
}
