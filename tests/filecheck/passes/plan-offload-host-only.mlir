// RUN: cimc opt %s -p 'expand-composites,plan-offload{host_only=main}' | filecheck %s
// A function that stays as the model has it: the operator stays whole.

// CHECK: onnx.offload = "host"
// CHECK: onnx.node "QuickGelu" in "com.microsoft"
// CHECK-NOT: "Sigmoid"
builtin.module attributes {onnx.opset = [":18", "com.microsoft:1"]} {
  func.func @main(%x: tensor<?x2xf32>) -> (tensor<?x2xf32>) attributes {onnx.inputs = ["x"], onnx.outputs = ["y"], onnx.dims = [["batch", "2"]]} {
    %y = onnx.node "QuickGelu" in "com.microsoft" (%x) : (tensor<?x2xf32>) -> tensor<?x2xf32>
    func.return %y : tensor<?x2xf32>
  }
}
// -----
// RUN: cimc opt %s -p 'expand-composites,plan-offload,recognise,demote,outline-host' | filecheck %s
// The choice comes from demote: nothing would go to the chip, so the pipeline comes back and leaves it whole.

// CHECK: rec.host
// CHECK: onnx.node "QuickGelu" in "com.microsoft"
// CHECK-NOT: "Sigmoid"
builtin.module attributes {onnx.opset = [":18", "com.microsoft:1"]} {
  func.func @main(%x: tensor<?x2xf32>) -> (tensor<?x2xf32>) attributes {onnx.inputs = ["x"], onnx.outputs = ["y"], onnx.dims = [["batch", "2"]]} {
    %y = onnx.node "QuickGelu" in "com.microsoft" (%x) : (tensor<?x2xf32>) -> tensor<?x2xf32>
    func.return %y : tensor<?x2xf32>
  }
}
