// RUN: cimc opt %s -p 'expand-composites' | filecheck %s
// The node and its decomposition stand side by side.

// CHECK: onnx.composite : tensor<?x2xf32> whole {
// CHECK: onnx.node "QuickGelu" in "com.microsoft"
// CHECK: parts {
// CHECK: onnx.node "Sigmoid"
// CHECK: onnx.node "Mul"
// CHECK: onnx.yield
builtin.module attributes {onnx.opset = [":18", "com.microsoft:1"]} {
  func.func @main(%x: tensor<?x2xf32>) -> (tensor<?x2xf32>) attributes {onnx.inputs = ["x"], onnx.outputs = ["y"], onnx.dims = [["batch", "2"]]} {
    %y = onnx.node "QuickGelu" in "com.microsoft" (%x) : (tensor<?x2xf32>) -> tensor<?x2xf32>
    func.return %y : tensor<?x2xf32>
  }
}
