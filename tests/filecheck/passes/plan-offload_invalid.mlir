// RUN: { ! cimc opt %s -p 'recognise,plan-offload'; } 2>&1 | filecheck %s
// The functions are not of the onnx dialect alone.

// CHECK: pass.after-recognise
builtin.module attributes {onnx.opset = [":18", "com.microsoft:1"]} {
  func.func @main(%x: tensor<?x2xf32>) -> (tensor<?x2xf32>) attributes {onnx.inputs = ["x"], onnx.outputs = ["y"], onnx.dims = [["batch", "2"]]} {
    %w = onnx.constant dense<[[1.0, 2.0], [3.0, 4.0]]> : tensor<2x2xf32> : tensor<2x2xf32>
    %h = onnx.node "MatMul"(%x, %w) : (tensor<?x2xf32>, tensor<2x2xf32>) -> tensor<?x2xf32>
    %y = onnx.node "Hardmax"(%h) : (tensor<?x2xf32>) -> tensor<?x2xf32>
    func.return %y : tensor<?x2xf32>
  }
}
// -----
// RUN: { ! cimc opt %s -p 'plan-offload{whole=0}'; } 2>&1 | filecheck %s
// CHECK: whole=0: there are no composites [pass.bad-option]
builtin.module attributes {onnx.opset = [":18"]} {
  func.func @main(%x: tensor<?x2xf32>) -> tensor<?x2xf32> attributes {onnx.inputs = ["x"], onnx.outputs = ["y"], onnx.dims = [["batch", "2"]]} {
    %y = onnx.node "Hardmax"(%x) : (tensor<?x2xf32>) -> tensor<?x2xf32>
    func.return %y : tensor<?x2xf32>
  }
}
