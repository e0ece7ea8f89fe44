// RUN: { ! cimc opt %s -p 'demote'; } 2>&1 | filecheck %s
// Nothing was recognised yet.

// CHECK: pass.needs-recognise
builtin.module attributes {onnx.opset = [":18", "com.microsoft:1"]} {
  func.func @main(%x: tensor<?x2xf32>) -> (tensor<?x2xf32>) attributes {onnx.inputs = ["x"], onnx.outputs = ["y"], onnx.dims = [["batch", "2"]]} {
    %w = onnx.constant dense<[[1.0, 2.0], [3.0, 4.0]]> : tensor<2x2xf32> : tensor<2x2xf32>
    %h = onnx.node "MatMul"(%x, %w) : (tensor<?x2xf32>, tensor<2x2xf32>) -> tensor<?x2xf32>
    %y = onnx.node "Hardmax"(%h) : (tensor<?x2xf32>) -> tensor<?x2xf32>
    func.return %y : tensor<?x2xf32>
  }
}
// -----
// RUN: { ! cimc opt %s -p 'recognise,demote'; } 2>&1 | filecheck %s
// What was changed for the chip does not get there, and plan-offload is not here to choose again.
// CHECK: nothing of @main goes to the chip, so it was changed in vain [pass.offload]
// CHECK: begin again with plan-offload{host_only=main}
builtin.module attributes {onnx.opset = [":18"]} {
  func.func @main(%x: tensor<?x2xf32>) -> tensor<?x2xf32> attributes {onnx.inputs = ["x"], onnx.outputs = ["y"], onnx.dims = [["batch", "2"]], onnx.offload = "changed"} {
    %y = onnx.node "Hardmax"(%x) : (tensor<?x2xf32>) -> tensor<?x2xf32>
    func.return %y : tensor<?x2xf32>
  }
}
