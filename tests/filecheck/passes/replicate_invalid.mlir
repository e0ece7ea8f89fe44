// RUN: { ! cimc opt %s -p replicate --target tsinghua28; } 2>&1 | filecheck %s
// CHECK: matrix @t has no cim.shards yet, which pass 'shard' decides [pass.needs-shard]
cim.table "t" rows 6 cols 4 bits 8 data @t.int scales @t.scales
func.func @main() {
  func.return
}
// -----
// RUN: { ! cimc opt %s -p replicate --target tsinghua28; } 2>&1 | filecheck %s
// CHECK: matrix @t has its cim.placement already [pass.decided-already]
cim.table "t" rows 6 cols 4 bits 8 data @t.int scales @t.scales
cim.shards @t slices 2 blocks <[[0, 6, 0, 4]]>
cim.placement @t blocks <[[0, 0, 0]]>
func.func @main() {
  func.return
}
