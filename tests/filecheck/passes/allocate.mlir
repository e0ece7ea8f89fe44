// RUN: cimc opt %s -p 'allocate' --target tsinghua28 2>/dev/null | filecheck %s
// RUN: cimc opt %s -p 'allocate{objective=latency}' --target tsinghua28 2>/dev/null | filecheck %s --check-prefix ALONE
// RUN: cimc opt %s -p 'allocate{most=1}' --target tsinghua28 2>/dev/null | filecheck %s --check-prefix FEW
// Several instances where requests overlap, one for a request alone; blocks as narrow as makes them fast.

// CHECK: cim.allocation instances 2 places 1 tiles 1 columns {w = 32 : i64}
// ALONE: cim.allocation instances 1 places 1 tiles 1 columns {w = 32 : i64}
// FEW: cim.allocation instances 1 places 1 tiles 1 columns {w = 32 : i64}
cim.weights "w" rows 600 cols 64 bits 8 data @w.int scales @w.scales inputs 8 signed 0
func.func @main(%x: tensor<?x600xui8>) -> tensor<?x64xi32> {
  %m = cim.mvm @w %x first 0 count 1 : tensor<?x600xui8> -> tensor<?x64xi32>
  func.return %m : tensor<?x64xi32>
}
