segment 0 tile 0
  loadq dst=[0] port=p0 n=5 scale=0.018890380859375 bits=8 sign=signed
  bag dst=[36] port=p1 matrix=m4 mode=none scale=0.013867574743926525 idbits=6
  bag dst=[64] port=p2 matrix=m5 mode=sum scale=0.016840513795614243 idbits=4
  mvm dst=[96] src=[0] matrix=m0 first=0 count=1
  dequant dst=[144] src=[96] factors=c[0] bias=c[48] n=12
  unary dst=[96] src=[144] n=12 fn=relu alpha=0.0 beta=0.0
  quant dst=[144] src=[96] n=12 scale=0.0150299072265625 bits=8 sign=unsigned
  mvm dst=[96] src=[144] matrix=m1 first=0 count=1
  dequant dst=[128] src=[96] factors=c[96] bias=c[124] n=7
  unary dst=[8] src=[128] n=7 fn=relu alpha=0.0 beta=0.0
  dots dst=[124] src=[8] pairs=c[152] n=3 features=3 dim=7
  copy dst=[96] src=[8] n0=1 n1=1 n2=7 d0=0 d1=0 d2=1 s0=0 s1=0 s2=1
  quant dst=[0] src=[96] n=10 scale=0.0610504150390625 bits=8 sign=signed
  mvm dst=[16] src=[0] matrix=m2 first=0 count=1
  dequant dst=[64] src=[16] factors=c[176] bias=c[224] n=12
  unary dst=[0] src=[64] n=12 fn=relu alpha=0.0 beta=0.0
  quant dst=[48] src=[0] n=12 scale=0.02381134033203125 bits=8 sign=unsigned
  mvm dst=[0] src=[48] matrix=m3 first=0 count=1
  dequant dst=[8] src=[0] factors=c[272] bias=c[276] n=1
  unary dst=[0] src=[8] n=1 fn=sigmoid alpha=0.0 beta=0.0
  store port=p0 src=[0] n=1
