// RUN: cimc opt %s | filecheck %s
// RUN: cimc opt %s | cimc opt - | filecheck %s
// Every decision about a matrix prints and parses: small tables in full, large ones by name and digest.

// CHECK: cim.weights "w" rows 5 cols 17 bits 8 data @w.int scales @w.scales inputs 8 signed 1
cim.weights "w" rows 5 cols 17 bits 8 data @w.int scales @w.scales inputs 8 signed 1
// CHECK-NEXT: cim.shards @w slices 2 blocks <[[0, 5, 0, 16], [0, 5, 16, 1]]>
cim.shards @w slices 2 blocks <[[0, 5, 0, 16], [0, 5, 16, 1]]>
// CHECK-NEXT: cim.adc @w "calibrated" steps <[[[2, 1], [1, 1]], [[3, 1], [1, 1]]]> certified 12 of 34 bits <[255, 240, 0, 0, 0]>
cim.adc @w "calibrated" steps <[[[2, 1], [1, 1]], [[3, 1], [1, 1]]]> certified 12 of 34 bits <[255, 240, 0, 0, 0]>
// CHECK-NEXT: cim.placement @w blocks <[[3, 0, 0], [3, 1, 0]]>
cim.placement @w blocks <[[3, 0, 0], [3, 1, 0]]>
// CHECK-NEXT: cim.table "t" rows 9 cols 4 bits 4 data @t.int scales @t.scales row_scales @r row_biases @b
cim.table "t" rows 9 cols 4 bits 4 data @t.int scales @t.scales row_scales @r row_biases @b
// CHECK-NEXT: cim.row_order @t slots <[8, 7, 6, 5, 4, 3, 2, 1, 0]>
cim.row_order @t slots <[8, 7, 6, 5, 4, 3, 2, 1, 0]>
// CHECK-NEXT: cim.shards @t slices 1 blocks <[[0, 6, 0, 4], [6, 3, 0, 4]]>
cim.shards @t slices 1 blocks <[[0, 6, 0, 4], [6, 3, 0, 4]]>
// CHECK-NEXT: cim.pooling @t rows 18 step 1
cim.pooling @t rows 18 step 1
// CHECK-NEXT: cim.residence @t rram 1 sram 0 dram 1 memory <[0, 2]>
cim.residence @t rram 1 sram 0 dram 1 memory <[0, 2]>
// CHECK-NEXT: cim.replicas @t of <[0, 0]>
cim.replicas @t of <[0, 0]>
// CHECK-NEXT: cim.placement @t blocks <[[3, 2, 0], [-3, -1, 0]]> copies <[[4, 0, 0], [5, 0, 0]]>
cim.placement @t blocks <[[3, 2, 0], [-3, -1, 0]]> copies <[[4, 0, 0], [5, 0, 0]]>
cim.table "large" rows 99999 cols 4 bits 8 data @large.int scales @large.scales
// CHECK: cim.shards @large slices 2 blocks <@large.blocks [196, 4] digest "0123456789abcdef" {"512x4": 195, "159x4": 1}>
cim.shards @large slices 2 blocks <@large.blocks [196, 4] digest "0123456789abcdef" {"512x4": 195, "159x4": 1}>
func.func @main() {
  func.return
}
