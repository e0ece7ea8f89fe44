// RUN: { ! cimc opt %s -p schedule --target tsinghua28; } 2>&1 | filecheck %s
// CHECK: matrix @w has no cim.placement yet, which pass 'place' decides [pass.needs-place]
cim.weights "w" rows 6 cols 4 bits 8 data @w.int scales @w.scales inputs 8 signed 1
cim.shards @w slices 2 blocks <[[0, 6, 0, 4]]>
func.func @main(%x: tensor<?x6xi8>) -> tensor<?x4xi32> {
  %m = cim.mvm @w %x first 0 count 1 : tensor<?x6xi8> -> tensor<?x4xi32>
  func.return %m : tensor<?x4xi32>
}
