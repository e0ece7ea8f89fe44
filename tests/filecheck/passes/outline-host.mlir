// RUN: cimc opt %s -p 'recognise,demote,outline-host' | filecheck %s
// What was not taken goes into a host segment; the marks are gone.

// CHECK-NOT: marks
// CHECK: rec.linear
// CHECK-NEXT: rec.host
// CHECK: onnx.node "Hardmax"
builtin.module attributes {onnx.opset = [":18", "com.microsoft:1"]} {
  func.func @main(%x: tensor<?x2xf32>) -> (tensor<?x2xf32>) attributes {onnx.inputs = ["x"], onnx.outputs = ["y"], onnx.dims = [["batch", "2"]]} {
    %w = onnx.constant dense<[[1.0, 2.0], [3.0, 4.0]]> : tensor<2x2xf32> : tensor<2x2xf32>
    %h = onnx.node "MatMul"(%x, %w) : (tensor<?x2xf32>, tensor<2x2xf32>) -> tensor<?x2xf32>
    %y = onnx.node "Hardmax"(%h) : (tensor<?x2xf32>) -> tensor<?x2xf32>
    func.return %y : tensor<?x2xf32>
  }
}
