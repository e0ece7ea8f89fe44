// RUN: { ! cimc opt %s -p group --target tsinghua28; } 2>&1 | filecheck %s
// CHECK: matrix @t has its cim.placement already [pass.decided-already]
// CHECK-NEXT: put this one before 'place'
cim.table "t" rows 6 cols 4 bits 8 data @t.int scales @t.scales
cim.shards @t slices 2 blocks <[[0, 6, 0, 4]]>
cim.pooling @t rows 1 step 1
cim.placement @t blocks <[[0, 0, 0]]>
func.func @main() {
  func.return
}
// -----
// RUN: { ! cimc opt %s -p group --target tsinghua28; } 2>&1 | filecheck %s
// CHECK: matrix @t has its cim.row_order already [pass.decided-already]
cim.table "t" rows 2 cols 4 bits 8 data @t.int scales @t.scales
cim.row_order @t slots <[1, 0]>
func.func @main() {
  func.return
}
