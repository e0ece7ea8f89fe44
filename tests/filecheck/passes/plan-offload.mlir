// RUN: cimc opt %s -p 'expand-composites,plan-offload' | filecheck %s
// Parts are taken unless an option says otherwise, and marked.

// CHECK: onnx.offload = "changed"
// CHECK-NOT: onnx.composite
// CHECK: onnx.node "Sigmoid"({{.*}}) marks {composite = 0 : i64, of = "com.microsoft.QuickGelu"
builtin.module attributes {onnx.opset = [":18", "com.microsoft:1"]} {
  func.func @main(%x: tensor<?x2xf32>) -> (tensor<?x2xf32>) attributes {onnx.inputs = ["x"], onnx.outputs = ["y"], onnx.dims = [["batch", "2"]]} {
    %w = onnx.constant dense<[[1.0, 2.0], [3.0, 4.0]]> : tensor<2x2xf32> : tensor<2x2xf32>
    %h = onnx.node "MatMul"(%x, %w) : (tensor<?x2xf32>, tensor<2x2xf32>) -> tensor<?x2xf32>
    %y = onnx.node "QuickGelu" in "com.microsoft" (%h) : (tensor<?x2xf32>) -> tensor<?x2xf32>
    func.return %y : tensor<?x2xf32>
  }
}
