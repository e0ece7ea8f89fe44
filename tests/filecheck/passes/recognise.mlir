// RUN: cimc opt %s -p 'recognise' | filecheck %s
// A node that was taken stays behind what replaces it, unused and marked.

// CHECK: rec.batch = "batch"
// CHECK: %[[H:.*]] = rec.linear %x
// CHECK-NEXT: onnx.node "MatMul"({{.*}}) marks {by = "linear", operations = 1 : i64, values = array<i64: 0>
// CHECK-NEXT: onnx.node "Hardmax"(%[[H]])
builtin.module attributes {onnx.opset = [":18", "com.microsoft:1"]} {
  func.func @main(%x: tensor<?x2xf32>) -> (tensor<?x2xf32>) attributes {onnx.inputs = ["x"], onnx.outputs = ["y"], onnx.dims = [["batch", "2"]]} {
    %w = onnx.constant dense<[[1.0, 2.0], [3.0, 4.0]]> : tensor<2x2xf32> : tensor<2x2xf32>
    %h = onnx.node "MatMul"(%x, %w) : (tensor<?x2xf32>, tensor<2x2xf32>) -> tensor<?x2xf32>
    %y = onnx.node "Hardmax"(%h) : (tensor<?x2xf32>) -> tensor<?x2xf32>
    func.return %y : tensor<?x2xf32>
  }
}
