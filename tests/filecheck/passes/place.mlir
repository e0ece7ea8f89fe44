// RUN: cimc opt %s -p 'place{strategy=greedy}' --target tsinghua28 2>/dev/null | filecheck %s
// RUN: cimc opt %s -p 'place{strategy=first_fit}' --target tsinghua28 2>/dev/null | filecheck %s --check-prefix FIRST
// Blocks in cells get tile, array and column, SRAM a tile, DRAM a chip, copies a tile of their own; layers
// own whole arrays.

// CHECK: cim.adc @w
// CHECK-NEXT: cim.placement @w blocks <[[36, 0, 0], [36, 1, 0]]>
// FIRST: cim.placement @w blocks <[[0, 1, 0], [0, 2, 0]]>
cim.weights "w" rows 600 cols 8 bits 8 data @w.int scales @w.scales inputs 8 signed 0
cim.shards @w slices 2 blocks <[[0, 512, 0, 8], [512, 88, 0, 8]]>
cim.adc @w "clip-free" steps <[[[1], [1]], [[1], [1]]]> certified 0 of 32 bits <[0, 0, 0, 0]>
// CHECK: cim.replicas @t
// CHECK-NEXT: cim.placement @t blocks <[[{{[0-9]+}}, 0, 0], [{{[0-9]+}}, -2, 0], [-3, -1, 0]]> copies <[[{{[0-9]+}}, 0, 0]]>
// FIRST: cim.placement @t blocks <[[0, 0, 0], [{{[0-9]+}}, -2, 0], [-3, -1, 0]]> copies <[[{{[1-9][0-9]*}}, 0, 0]]>
cim.table "t" rows 1100 cols 4 bits 8 data @t.int scales @t.scales
cim.shards @t slices 2 blocks <[[0, 512, 0, 4], [512, 512, 0, 4], [1024, 76, 0, 4]]>
cim.pooling @t rows 1 step 1
cim.residence @t rram 1 sram 1 dram 1 memory <[0, 1, 2]>
cim.replicas @t of <[0]>
func.func @main(%x: tensor<?x600xui8>) -> tensor<?x8xi32> {
  %m = cim.mvm @w %x first 0 count 2 : tensor<?x600xui8> -> tensor<?x8xi32>
  func.return %m : tensor<?x8xi32>
}
