// RUN: cimc opt %s -p 'replicate{budget=1.0 policy=bottleneck}' --target tsinghua28 --data %data | filecheck %s
// RUN: cimc opt %s -p 'replicate{budget=0.0}' --target tsinghua28 --data %data | filecheck %s --check-prefix NONE
// Only the block that nearly all requests read gets copies; without room for them nothing does.
// DATA: cimc:ids:t int64 [3] 1 513 1030
// DATA: cimc:counts:t int64 [3] 2 9000 2
// DATA: cimc:requests:t int64 [1] 4

// CHECK: cim.pooling @t
// CHECK-NEXT: cim.replicas @t of <[1{{(, 1)*}}]>
// NONE-NOT: cim.replicas
cim.table "t" rows 1100 cols 4 bits 8 data @t.int scales @t.scales
cim.shards @t slices 2 blocks <[[0, 512, 0, 4], [512, 512, 0, 4], [1024, 76, 0, 4]]>
cim.pooling @t rows 1 step 1
func.func @main() {
  func.return
}
