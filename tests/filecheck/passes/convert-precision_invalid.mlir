// RUN: { ! cimc opt %s -p 'expand-composites,convert-precision'; } 2>&1 | filecheck %s
// Neither form of the composite was chosen.

// CHECK: pass.needs-plan-offload
builtin.module attributes {onnx.opset = [":18", "com.microsoft:1"]} {
  func.func @main(%x: tensor<?x2xf32>) -> (tensor<?x2xf32>) attributes {onnx.inputs = ["x"], onnx.outputs = ["y"], onnx.dims = [["batch", "2"]]} {
    %y = onnx.node "QuickGelu" in "com.microsoft" (%x) : (tensor<?x2xf32>) -> tensor<?x2xf32>
    func.return %y : tensor<?x2xf32>
  }
}
