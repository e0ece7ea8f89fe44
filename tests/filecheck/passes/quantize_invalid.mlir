// RUN: { ! cimc opt %s -p quantize --target tsinghua28 --calib %calib; } 2>&1 | filecheck %s
// CHECK: onnx.node is neither on the chip nor in a host segment, as after 'outline-host' [pass.needs-outline-host]
// CALIB: x float32 [4, 3] 1.0
builtin.module attributes {onnx.opset = [":17"]} {
  func.func @main(%x: tensor<?x3xf32>) -> tensor<?x3xf32> attributes {onnx.inputs = ["x"], onnx.outputs = ["y"]} {
    %y = onnx.node "Relu"(%x) : (tensor<?x3xf32>) -> tensor<?x3xf32>
    func.return %y : tensor<?x3xf32>
  }
}
// -----
// RUN: { ! cimc opt %s -p quantize --target tsinghua28; } 2>&1 | filecheck %s
// CHECK: pass 'quantize' sets ranges from calibration requests, and none were given [quantize.no-calibration]
func.func @main(%x: tensor<?x3xf32>) -> tensor<?x2xf32> attributes {onnx.inputs = ["x"], onnx.outputs = ["y"]} {
  %y = rec.linear %x weight @w units 2 : tensor<?x3xf32> -> tensor<?x2xf32>
  func.return %y : tensor<?x2xf32>
}
// -----
// RUN: { ! cimc opt %s -p quantize; } 2>&1 | filecheck %s
// CHECK: pass 'quantize' needs a target [pass.needs-target]
func.func @main(%x: tensor<?x3xf32>) -> tensor<?x3xf32> attributes {onnx.inputs = ["x"], onnx.outputs = ["y"]} {
  func.return %x : tensor<?x3xf32>
}
