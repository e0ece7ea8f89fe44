// RUN: { ! cimc opt %s -p assign-memory --target tsinghua28; } 2>&1 | filecheck %s
// CHECK: matrix @t has no cim.shards yet, which pass 'shard' decides [pass.needs-shard]
// CHECK-NEXT: run 'shard' before
cim.table "t" rows 6 cols 4 bits 8 data @t.int scales @t.scales
func.func @main() {
  func.return
}
// -----
// RUN: { ! cimc opt %s -p assign-memory --target tsinghua28; } 2>&1 | filecheck %s
// CHECK: matrix @t has its cim.replicas already [pass.decided-already]
cim.table "t" rows 6 cols 4 bits 8 data @t.int scales @t.scales
cim.shards @t slices 2 blocks <[[0, 6, 0, 4]]>
cim.replicas @t of <[0]>
func.func @main() {
  func.return
}
// -----
// RUN: { ! cimc opt %s -p assign-memory --target tsinghua28; } 2>&1 | filecheck %s
// CHECK: matrix @t has its cim.residence already [pass.decided-already]
cim.table "t" rows 6 cols 4 bits 8 data @t.int scales @t.scales
cim.shards @t slices 2 blocks <[[0, 6, 0, 4]]>
cim.residence @t rram 1 sram 0 dram 0 memory <[0]>
func.func @main() {
  func.return
}
