// RUN: cimc opt %s -p 'assign-memory{policy=hot_sram sram=2048}' --target tsinghua28 --data %data | filecheck %s
// RUN: cimc opt %s -p 'assign-memory{policy=dram}' --target tsinghua28 --data %data | filecheck %s --check-prefix DRAM
// The block that is read most goes to SRAM, as far as 2048 bytes reach, or everything to DRAM.
// DATA: cimc:ids:t int64 [3] 1 513 1030
// DATA: cimc:counts:t int64 [3] 2 90 5
// DATA: cimc:requests:t int64 [1] 4

// CHECK: cim.pooling @t
// CHECK-NEXT: cim.residence @t rram 2 sram 1 dram 0 memory <[0, 1, 0]>
// DRAM: cim.residence @t rram 0 sram 0 dram 3 memory <[2, 2, 2]>
cim.table "t" rows 1100 cols 4 bits 8 data @t.int scales @t.scales
cim.shards @t slices 2 blocks <[[0, 512, 0, 4], [512, 512, 0, 4], [1024, 76, 0, 4]]>
cim.pooling @t rows 1 step 1
func.func @main() {
  func.return
}
