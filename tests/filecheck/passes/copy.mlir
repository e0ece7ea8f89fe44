// RUN: cimc opt %s -p 'copy{instances=3}' --target tsinghua28 2>/dev/null | filecheck %s
// RUN: cimc opt %s -p 'copy{instances=1}' --target tsinghua28 2>/dev/null | filecheck %s --check-prefix ONE
// RUN: cimc opt %s -p 'copy{instances=3},place{tiles=2},schedule' --target tsinghua28 2>/dev/null | filecheck %s --check-prefix PLACED
// All blocks of layers get copies, tables none; place then gives every instance tiles of its own.

// CHECK: cim.adc @w
// CHECK-NEXT: cim.replicas @w of <[0, 0, 1, 1]>
// ONE-NOT: cim.replicas
// ONE-NOT: cim.copies
// PLACED: cim.placement @w blocks <{{\[\[}}[[T:[0-9]+]], 0, 0], {{\[}}[[T]], 1, 0]]> copies <{{\[\[}}[[U:[0-9]+]], 0, 0], {{\[}}[[V:[0-9]+]], 0, 0], {{\[}}[[U]], 1, 0], {{\[}}[[V]], 1, 0]]>
cim.weights "w" rows 600 cols 8 bits 8 data @w.int scales @w.scales inputs 8 signed 0
cim.shards @w slices 2 blocks <[[0, 512, 0, 8], [512, 88, 0, 8]]>
cim.adc @w "clip-free" steps <[[[1], [1]], [[1], [1]]]> certified 0 of 32 bits <[0, 0, 0, 0]>
// CHECK: cim.pooling @t
// CHECK-NEXT: cim.copies 3
// PLACED: cim.copies 3
// PLACED-NEXT: cim.instances <{{\[\[}}[[T]], {{[0-9]+}}], {{\[}}[[U]], {{[0-9]+}}], {{\[}}[[V]], {{[0-9]+}}]]>
cim.table "t" rows 500 cols 4 bits 8 data @t.int scales @t.scales
cim.shards @t slices 2 blocks <[[0, 500, 0, 4]]>
cim.pooling @t rows 1 step 1
func.func @main(%x: tensor<?x600xui8>) -> tensor<?x8xi32> {
  // PLACED: cim.mvm{{.*}}cim.tile = [[T]] : i64
  %m = cim.mvm @w %x first 0 count 2 : tensor<?x600xui8> -> tensor<?x8xi32>
  func.return %m : tensor<?x8xi32>
}
