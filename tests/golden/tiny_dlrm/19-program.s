segment 0 tile 0
  loadq dst=[0] port=p0 n=5 scale=0.018890380859375 bits=8 sign=signed
  bag dst=[260] port=p1 matrix=m4 mode=none scale=0.013867574743926525 idbits=6
  bag dst=[288] port=p2 matrix=m5 mode=sum scale=0.016840513795614243 idbits=4
  mvm dst=[8] src=[0] matrix=m0 first=0 count=1
  dequant dst=[56] src=[8] factors=c[0] bias=c[48] n=12
  unary dst=[104] src=[56] n=12 fn=relu alpha=0.0 beta=0.0
  quant dst=[152] src=[104] n=12 scale=0.0150299072265625 bits=8 sign=unsigned
  mvm dst=[168] src=[152] matrix=m1 first=0 count=1
  dequant dst=[200] src=[168] factors=c[96] bias=c[124] n=7
  unary dst=[232] src=[200] n=7 fn=relu alpha=0.0 beta=0.0
  dots dst=[348] src=[232] pairs=c[152] n=3 features=3 dim=7
  copy dst=[320] src=[232] n0=1 n1=1 n2=7 d0=0 d1=0 d2=1 s0=0 s1=0 s2=1
  quant dst=[360] src=[320] n=10 scale=0.0610504150390625 bits=8 sign=signed
  mvm dst=[376] src=[360] matrix=m2 first=0 count=1
  dequant dst=[424] src=[376] factors=c[176] bias=c[224] n=12
  unary dst=[472] src=[424] n=12 fn=relu alpha=0.0 beta=0.0
  quant dst=[520] src=[472] n=12 scale=0.02381134033203125 bits=8 sign=unsigned
  mvm dst=[536] src=[520] matrix=m3 first=0 count=1
  dequant dst=[544] src=[536] factors=c[272] bias=c[276] n=1
  unary dst=[552] src=[544] n=1 fn=sigmoid alpha=0.0 beta=0.0
  store port=p0 src=[552] n=1
