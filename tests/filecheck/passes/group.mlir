// RUN: cimc opt %s -p 'group{policy=frequency}' --target tsinghua28 --data %data | filecheck %s
// Rows that are read often come first; a table nobody reads keeps its order.
// DATA: cimc:ids:t int64 [3] 1 3 4
// DATA: cimc:counts:t int64 [3] 2 9 5
// DATA: cimc:requests:t int64 [1] 4

// CHECK: cim.table "t"
// CHECK-NEXT: cim.row_order @t slots <[3, 2, 4, 0, 1, 5]>
// CHECK-NEXT: cim.table "u"
// CHECK-NEXT: func.func
cim.table "t" rows 6 cols 4 bits 8 data @t.int scales @t.scales
cim.table "u" rows 6 cols 4 bits 8 data @u.int scales @u.scales
func.func @main(%ids: tensor<?x2xi64>) -> tensor<?x4xf32> {
  %e = cim.lookup @t "sum" "fixed" %ids scale 0.5 dim 4 : tensor<?x2xi64> -> tensor<?x4xf32>
  func.return %e : tensor<?x4xf32>
}
